// The microphone: blocks of sound at 16 kHz, 16 bits.

const RATE = 16000;
const BLOCK = 512; // samples, 32 ms
// Runs beside the page. A browser that cannot resample gets means of neighbouring samples.
const TAP = `registerProcessor('tap', class extends AudioWorkletProcessor {
  block = new Int16Array(${BLOCK}); filled = 0; sum = 0; count = 0; due = 0;
  process([[channel]]) {
    for (const sample of channel || []) {
      this.sum += sample; this.count += 1; this.due += ${RATE} / sampleRate;
      if (this.due < 1) continue;
      this.due -= 1;
      this.block[this.filled++] = Math.max(-1, Math.min(1, this.sum / this.count)) * 32767;
      this.sum = this.count = 0;
      if (this.filled === ${BLOCK}) { this.port.postMessage(this.block.slice()); this.filled = 0; }
    }
    return true;
  }
});`;
const REFUSED = {
  NotAllowedError: 'The browser refuses the microphone. Allow it for this page (beside its address), then try again.',
  NotFoundError: 'No microphone was found. Connect one, then try again.',
  NotReadableError: 'The microphone is in use by another program.',
};
const refusal = (error) => REFUSED[error.name] || `The microphone cannot be used: ${error.message}`;

// `onBlock` gets Int16Arrays; `onEnd` is called if the microphone goes away by itself. Returns how to close it.
const openMicrophone = async (onBlock, onEnd) => {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new Error('browsers give it to pages from https:// or localhost only, and this page came otherwise.');
  if (!window.AudioWorkletNode) throw new Error('this browser is too old for it.');
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
  });
  let context;
  const closeMicrophone = () => {
    stream.getTracks().forEach((track) => track.stop());
    if (context && context.state !== 'closed') context.close();
  };
  try {
    context = new AudioContext({ sampleRate: RATE });
    let source;
    try {
      source = context.createMediaStreamSource(stream);
    } catch {
      context.close();
      context = new AudioContext();
      source = context.createMediaStreamSource(stream);
    }
    const url = URL.createObjectURL(new Blob([TAP], { type: 'text/javascript' }));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    const tap = new AudioWorkletNode(context, 'tap');
    tap.port.onmessage = (event) => onBlock(event.data);
    source.connect(tap);
    await context.resume();
  } catch (error) {
    closeMicrophone();
    throw error;
  }
  stream.getTracks().forEach((track) => (track.onended = onEnd));
  context.onstatechange = () => context.state === 'interrupted' && onEnd(); // a telephone call
  return closeMicrophone;
};

const wavOf = (blocks) => {
  const bytes = blocks.reduce((sum, block) => sum + block.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((l, i) => header.setUint8(at + i, l.charCodeAt(0)));
  text(0, 'RIFF');
  header.setUint32(4, 36 + bytes, true);
  text(8, 'WAVEfmt ');
  header.setUint32(16, 16, true); // the length of what follows
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // mono
  header.setUint32(24, RATE, true);
  header.setUint32(28, RATE * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, 'data');
  header.setUint32(40, bytes, true);
  return new Blob([header, ...blocks], { type: 'audio/wav' });
};
