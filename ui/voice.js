// Talking to the page. Sound is cut into utterances here, heard by the server's Whisper while it grows, and
// what was heard stands in the message box. Answers are spoken sentence by sentence while they are written.
(() => {
  const BLOCK = 512; // samples that the microphone hands over at a time
  const RATE = 16000;
  const PREROLL = 0.5; // seconds kept from before a voice was noticed
  const LONGEST = 28; // seconds; Whisper hears 30 at once
  const LIVE = 0.5; // seconds between two partial transcripts, if the server keeps up
  const UNSURE = 0.5; // a word below this confidence is marked
  const KEY = 'troupe-voice';

  const $ = (selector) => document.querySelector(selector);
  const settings = { voice: '', speed: 1, pause: 1.2, send: false, speak: false };
  try {
    Object.assign(settings, JSON.parse(localStorage.getItem(KEY)) || {});
  } catch {} // a browser without storage keeps nothing
  const keep = () => {
    try {
      localStorage.setItem(KEY, JSON.stringify(settings));
    } catch {}
  };

  // --- The message box

  const box = () => $('#message textarea');
  const write = (text) => {
    const area = box();
    if (!area) return;
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(area, text);
    area.dispatchEvent(new Event('input', { bubbles: true }));
  };
  const joined = (before, after) => (before && after ? `${before.trimEnd()} ${after}` : before || after);
  const answering = () => Boolean($('#message .stop-button'));

  const status = (text, words = []) => {
    const line = $('#heard');
    if (!line) return;
    line.textContent = text;
    words.forEach((word) => {
      const mark = document.createElement('button');
      mark.className = 'unsure';
      mark.textContent = word;
      mark.title = 'Select this word in the message';
      mark.onclick = () => select(word);
      line.append(' ', mark);
    });
  };
  const select = (word) => {
    const at = box().value.indexOf(word);
    box().focus();
    if (at >= 0) box().setSelectionRange(at, at + word.length);
  };

  // called when a recording has been heard: see ui/voice.py
  window.troupe = { append: (text) => text && write(joined(box().value, text)) };

  // --- The microphone

  let mode = 'off'; // or 'dictate', 'hands-free'
  let microphone = null;
  let utterance = null; // what is being said: { blocks, seconds, silence, before, shown, voiced }
  let recent = []; // the last blocks, for the beginning of the next utterance
  let floor = 0.01; // how loud it is when nobody speaks
  let voiced = 0; // blocks in a row with a voice
  let finals = Promise.resolve(); // utterances are written in the order in which they were said
  let settling = 0; // of them, those that are not written yet

  const TAP = `registerProcessor('tap', class extends AudioWorkletProcessor {
    block = new Float32Array(${BLOCK}); filled = 0;
    process([[channel]]) {
      for (const sample of channel || []) {
        this.block[this.filled++] = sample;
        if (this.filled === ${BLOCK}) { this.port.postMessage(this.block.slice()); this.filled = 0; }
      }
      return true;
    }
  });`;

  const refused = (error) => {
    const known = {
      NotAllowedError: 'The browser refuses the microphone. Allow it for this page (beside its address), then try again.',
      NotFoundError: 'No microphone was found. Connect one, then try again.',
      NotReadableError: 'The microphone is in use by another program.',
    };
    return known[error.name] || `The microphone cannot be used: ${error.message}`;
  };

  const open = async () => {
    if (!navigator.mediaDevices?.getUserMedia)
      throw new Error('browsers give it to pages from https:// or localhost only, and this page came otherwise.');
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
    });
    let context;
    try {
      context = new AudioContext({ sampleRate: RATE });
      context.createMediaStreamSource(stream);
    } catch {
      context = new AudioContext(); // a browser that does not resample; the server does
    }
    const url = URL.createObjectURL(new Blob([TAP], { type: 'text/javascript' }));
    await context.audioWorklet.addModule(url);
    const tap = new AudioWorkletNode(context, 'tap');
    tap.port.onmessage = (event) => hear(event.data, context.sampleRate);
    context.createMediaStreamSource(stream).connect(tap);
    return { stream, context };
  };

  const close = () => {
    microphone?.stream.getTracks().forEach((track) => track.stop());
    microphone?.context.close();
    microphone = null;
  };

  const turn = async (wanted) => {
    const before = mode;
    if (before !== 'off') await end();
    if (wanted === before) return;
    mode = wanted;
    draw();
    status('Waiting for the microphone…');
    try {
      microphone = await open();
    } catch (error) {
      mode = 'off';
      draw();
      return status(refused(error));
    }
    if (mode !== wanted) return close(); // turned off meanwhile
    [recent, voiced, floor] = [[], 0, 0.01];
    if (mode === 'dictate') begin();
    status(mode === 'dictate' ? 'Listening. Click Talk again when you are done.' : 'Listening…');
  };

  const end = async () => {
    const before = mode;
    mode = 'off';
    close();
    draw();
    silence();
    if (before === 'dictate') finish(settings.send);
    else utterance = null;
    await finals;
  };

  const hear = (block, rate) => {
    if (mode === 'off') return;
    const seconds = block.length / rate;
    const level = Math.sqrt(block.reduce((sum, sample) => sum + sample * sample, 0) / block.length);
    floor = level < floor ? 0.8 * floor + 0.2 * level : Math.min(floor * 1.003, 0.05);
    // what the loudspeaker says must not interrupt itself
    const voice = level > Math.max(0.006, 3 * floor) * (speaking() ? 2.5 : 1);
    voiced = voice ? voiced + 1 : 0;
    recent = [...recent, block].slice(-Math.ceil(PREROLL / seconds));
    if (!utterance) {
      if (voiced >= 5) begin(recent.slice(0, -1), rate);
      else return;
    }
    utterance.rate = rate;
    utterance.blocks.push(block);
    utterance.seconds += seconds;
    utterance.silence = voice ? 0 : utterance.silence + seconds;
    utterance.voiced ||= voiced >= 5;
    const paused = utterance.voiced && utterance.silence >= settings.pause;
    if (mode === 'hands-free' && paused) return finish(true);
    if (utterance.seconds > LONGEST && (utterance.silence > 0.25 || utterance.seconds > LONGEST + 1.5)) {
      finish(false);
      if (mode === 'dictate') begin();
      return;
    }
    live(utterance);
  };

  const begin = (blocks = [], rate = RATE) => {
    if (mode === 'hands-free' && (speaking() || answering())) {
      silence();
      $('#message .stop-button')?.click(); // who speaks wants no more of the answer
    }
    const before = box()?.value || '';
    utterance = { blocks: [...blocks], rate, seconds: 0, silence: 0, voiced: false, before, shown: before, asked: 0 };
  };

  // --- Hearing: the page's own door to Whisper is the public one

  const transcribe = async (one, fields, signal) => {
    const form = new FormData();
    form.append('file', wav(one.blocks, one.rate), 'speech.wav');
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    const response = await fetch('v1/audio/transcriptions', { method: 'POST', body: form, signal });
    const content = await response.json();
    if (!response.ok) throw new Error(content.error?.message || `the server says ${response.status}`);
    return content;
  };

  const live = async (one) => {
    if (settling || one.asking || one.seconds - one.asked < LIVE) return;
    [one.asking, one.asked] = [new AbortController(), one.seconds];
    try {
      const { text } = await transcribe(one, { response_format: 'json' }, one.asking.signal);
      if (text && one === utterance && box().value === one.shown) {
        one.shown = joined(one.before, text);
        write(one.shown);
      }
    } catch {} // the final transcript says what is wrong
    one.asking = null;
  };

  const finish = (send) => {
    const one = utterance;
    utterance = null;
    if (!one || !one.blocks.length) return;
    one.asking?.abort();
    if (mode === 'off') status('Writing down what you said…');
    settling += 1;
    finals = finals.then(() => settle(one, send)).finally(() => (settling -= 1));
  };

  const settle = async (one, send) => {
    try {
      const fields = { response_format: 'verbose_json', 'timestamp_granularities[]': 'word' };
      const { text, words } = await transcribe(one, fields);
      const edited = box().value !== one.shown;
      if (!edited) write(joined(one.before, text));
      const sent = send && text && !edited;
      // what is being said by now stands behind this, or alone if this is sent
      if (utterance) utterance.before = utterance.shown = sent ? '' : box().value;
      if (!text) return status(mode === 'off' ? 'No speech was heard.' : 'No speech was heard. Listening…');
      const unsure = (words || []).filter((word) => word.confidence < UNSURE).map((word) => word.word);
      status(unsure.length ? 'Not sure about:' : mode === 'off' ? '' : 'Listening…', [...new Set(unsure)]);
      // the box takes in what was written before it sends it
      if (sent) setTimeout(() => $('#message .submit-button')?.click(), 50);
    } catch (error) {
      if (box().value === one.shown) write(one.before);
      status(`Not heard: ${error.message}`);
    }
  };

  const wav = (blocks, rate) => {
    const samples = Int16Array.from(
      blocks.flatMap((block) => Array.from(block, (x) => Math.max(-1, Math.min(1, x)) * 32767))
    );
    const header = new DataView(new ArrayBuffer(44));
    const text = (at, letters) => [...letters].forEach((l, i) => header.setUint8(at + i, l.charCodeAt(0)));
    text(0, 'RIFF');
    header.setUint32(4, 36 + samples.byteLength, true);
    text(8, 'WAVEfmt ');
    header.setUint32(16, 16, true);
    header.setUint16(20, 1, true); // PCM
    header.setUint16(22, 1, true); // mono
    header.setUint32(24, rate, true);
    header.setUint32(28, rate * 2, true);
    header.setUint16(32, 2, true);
    header.setUint16(34, 16, true);
    text(36, 'data');
    header.setUint32(40, samples.byteLength, true);
    return new Blob([header, samples], { type: 'audio/wav' });
  };

  // --- Speaking

  const synthesis = window.speechSynthesis;
  const SERVER = 'server:'; // before the name of a voice that is the server's
  const serverVoices = () => $('#voice')?.dataset.serverVoices.split(' ').filter(Boolean) || [];
  let played = Promise.resolve(); // sentences in the server's voice are played one after the other
  let sound = null; // that is played now
  let hushes = 0; // how often all that waited was given up
  let answer = null; // the one that is being written: { rows, old, spoken }
  let queued = 0; // sentences that are still to be spoken

  const speaks = () => settings.speak || mode === 'hands-free';
  const speaking = () => queued > 0;
  const silence = () => {
    queued = 0;
    hushes += 1;
    synthesis?.cancel();
    sound?.pause();
    sound = null;
    if (answer) answer.quiet = true;
    draw();
  };
  const say = (text) => {
    if (!/[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(text)) return;
    const own = synthesis?.getVoices() || [];
    const named = settings.voice.startsWith(SERVER) ? settings.voice.slice(SERVER.length) : '';
    queued += 1;
    if (serverVoices().length && (named || !own.length)) sayByServer(text.trim(), named);
    else {
      const spoken = new SpeechSynthesisUtterance(text.trim());
      spoken.voice = own.find((voice) => voice.name === settings.voice) || null;
      spoken.rate = settings.speed;
      spoken.onend = spoken.onerror = said;
      synthesis.speak(spoken);
    }
    draw();
  };
  const said = () => {
    queued = Math.max(0, queued - 1);
    draw();
    if (!queued && !answering() && mode === 'hands-free') status('Listening…');
  };

  const sayByServer = (input, voice) => {
    const body = JSON.stringify({ input, voice, speed: settings.speed });
    const headers = { 'Content-Type': 'application/json' };
    const wav = fetch('v1/audio/speech', { method: 'POST', body, headers }).then((answer) => answer.blob());
    const asked = hushes;
    played = played.then(async () => {
      if (asked !== hushes) return;
      try {
        sound = new Audio(URL.createObjectURL(await wav));
        const ended = new Promise((done) => (sound.onended = sound.onpause = sound.onerror = done));
        await sound.play();
        await ended;
      } catch (error) {
        status(`Not spoken: ${error.message}`);
      }
      if (asked === hushes) said();
    });
  };

  const sentences = (text) =>
    Intl.Segmenter
      ? Array.from(new Intl.Segmenter('en', { granularity: 'sentence' }).segment(text), (part) => part.segment)
      : text.match(/[^.!?\n]+[.!?\n]*\s*/g) || [];

  const answerRow = () => {
    // every answer is followed by a line about it: see ui/transcript.py
    const rows = document.querySelectorAll('#chat .bot-row');
    return { rows: rows.length, text: rows.length > 1 ? rows[rows.length - 2].innerText.trim() : '' };
  };

  const follow = () => {
    const now = answering();
    if (now && !answer) answer = { ...answerRow(), spoken: '', quiet: !speaks() };
    if (!answer) return;
    const { rows, text } = answerRow();
    const fresh = rows > answer.rows || text !== answer.text; // not the one before it
    if (fresh && !answer.quiet && text !== '…') {
      if (!text.startsWith(answer.spoken)) answer.spoken = '';
      const parts = sentences(text.slice(answer.spoken.length));
      // the last one may still grow
      for (const part of now ? parts.slice(0, -1) : parts) {
        answer.spoken += part;
        say(part);
      }
    }
    if (!now) answer = null;
  };

  // --- The buttons

  const draw = () => {
    const press = (id, on) => $(id)?.setAttribute('aria-pressed', String(on));
    press('#talk', mode === 'dictate');
    press('#hands-free', mode === 'hands-free');
    press('#speak', settings.speak);
    if ($('#hush')) $('#hush').hidden = !speaking();
  };

  const voices = () => {
    const list = $('#voice-name');
    if (!list) return;
    const found = synthesis?.getVoices() || [];
    const usual = found.length ? 'The browser’s own' : serverVoices().length ? 'The server’s own' : 'There are none';
    list.replaceChildren(new Option(usual, ''));
    found.forEach((voice) => list.add(new Option(`${voice.name} (${voice.lang})`, voice.name)));
    serverVoices().forEach((name) => list.add(new Option(`${name}, spoken by the server`, SERVER + name)));
    list.value = settings.voice;
  };

  const FIELDS = { 'voice-name': 'voice', 'voice-speed': 'speed', 'voice-pause': 'pause', 'voice-send': 'send' };
  const fill = () => {
    for (const [id, name] of Object.entries(FIELDS)) {
      const field = $(`#${id}`);
      if (!field) continue;
      if (field.type === 'checkbox') field.checked = settings[name];
      else field.value = settings[name];
      if (field.type === 'range') field.nextElementSibling.value = field.value;
    }
  };

  document.addEventListener('click', (event) => {
    const id = event.target.closest?.('#voice button')?.id;
    if (id === 'talk') turn('dictate');
    if (id === 'hands-free') turn('hands-free');
    if (id === 'hush') silence();
    if (id === 'speak') {
      settings.speak = !settings.speak;
      if (!settings.speak) silence();
      keep();
      draw();
    }
  });
  document.addEventListener('input', (event) => {
    const name = FIELDS[event.target.id];
    if (!name) return;
    const { type, checked, value } = event.target;
    settings[name] = type === 'checkbox' ? checked : type === 'range' ? Number(value) : value;
    keep();
    fill();
  });
  document.addEventListener('keydown', (event) => {
    if (event.altKey && event.code === 'KeyT' && !$('#talk')?.disabled) {
      event.preventDefault();
      turn('dictate');
    }
  });
  // a recording that is dropped on the chat goes the way of the button
  const dropped = (event) => event.target.closest?.('#chat-column') && event.dataTransfer?.types.includes('Files');
  document.addEventListener('dragover', (event) => dropped(event) && event.preventDefault());
  document.addEventListener('drop', (event) => {
    const input = $('#recording input[type=file]');
    if (!dropped(event) || !input) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
  });
  synthesis?.addEventListener?.('voiceschanged', voices);

  let shown = null; // the bar, once Gradio has drawn it
  new MutationObserver(() => {
    if ($('#voice') !== shown) {
      shown = $('#voice');
      [draw, voices, fill].forEach((show) => show());
    }
    follow();
  }).observe(document, { subtree: true, childList: true, characterData: true });
})();
