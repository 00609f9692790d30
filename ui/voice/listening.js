// Listening: sound is cut into utterances, and each is written into the box while it is said.

const PREROLL = 16; // blocks kept from before a voice was noticed, half a second
const NOTICED = 5; // loud blocks in a row that are a voice and no click, 0.16 s
const LOUD = 0.006; // root mean square below which nobody speaks
const ABOVE = 3; // times louder than the room is a voice ...
const OWN = 2.5; // ... and as much more while the loudspeaker speaks
const LONGEST = 28; // seconds; Whisper hears 30 at once
const LIVE = 0.5; // seconds of sound at least between two partial transcripts
const ECHO = 0.6; // share of an utterance's words that the page has just said: then it heard itself

let mode = 'off'; // or 'dictate', 'hands-free'
let ticket = 0; // of the last turn of the mode: an older one that comes late is void
let closeMicrophone = () => {};
let utterance = null; // what is being said
let recent = []; // the last blocks
let room = 0.01; // how loud it is when nobody speaks
let loud = 0; // blocks in a row
let settled = Promise.resolve(); // utterances are written in the order in which they were said

const talking = () => Boolean(utterance?.voiced);
const listeningAgain = () => mode !== 'off' && tell('Listening…');

const turn = async (wanted) => {
  const was = mode;
  ticket += 1;
  const mine = ticket;
  if (was !== 'off') end();
  if (wanted === was) return;
  hush(); // what is still spoken would be written down
  mode = wanted;
  drawButtons();
  tell('Waiting for the microphone…');
  let close;
  try {
    close = await openMicrophone(hear, () => mine === ticket && lost());
  } catch (error) {
    if (mine !== ticket) return;
    mode = 'off';
    drawButtons();
    return tell(refusal(error));
  }
  if (mine !== ticket) return close();
  closeMicrophone = close;
  [recent, loud, room] = [[], 0, 0.01];
  if (mode === 'dictate') begin();
  tell(mode === 'dictate' ? 'Listening. Click Talk again when you are done.' : 'Listening…');
};
const end = () => {
  const was = mode;
  mode = 'off';
  closeMicrophone();
  closeMicrophone = () => {};
  drawButtons();
  tell('');
  if (was === 'dictate') finish(settings.send);
  else utterance = null;
};
const lost = () => {
  end();
  tell('The microphone is gone. What was said until then is kept.');
};

const hear = (block) => {
  if (mode === 'off') return;
  const level = Math.sqrt(block.reduce((sum, sample) => sum + sample * sample, 0) / block.length) / 32768;
  // the room is learnt at once when it is quieter, and slowly when it is louder
  room = level < room ? 0.8 * room + 0.2 * level : Math.min(room * 1.003, 0.05);
  const voice = level > Math.max(LOUD, ABOVE * room) * (speaking() ? OWN : 1);
  loud = voice ? loud + 1 : 0;
  recent = [...recent, block].slice(-PREROLL);
  if (!utterance) {
    if (loud < NOTICED) return;
    begin(recent.slice(0, -1));
  }
  const seconds = BLOCK / RATE;
  utterance.blocks.push(block);
  utterance.seconds += seconds;
  utterance.silence = voice ? 0 : utterance.silence + seconds;
  utterance.voiced ||= loud >= NOTICED;
  if (mode === 'hands-free' && utterance.voiced && utterance.silence >= settings.pause) finish(true);
  else if (utterance.seconds > LONGEST && (utterance.silence > 0.25 || utterance.seconds > LONGEST + 1.5)) cut();
  else live(utterance);
};
const begin = (blocks = []) => {
  const text = held();
  utterance = {
    blocks: [...blocks], seconds: 0, silence: 0, voiced: false,
    before: text, shown: text, // the box before it, and as it was last written
    heard: 0, asking: null, // seconds of the last partial transcript, and how to give it up
    goesOn: false, // behind one that was too long
  }; // prettier-ignore
};
const cut = () => {
  finish(false);
  begin();
  [utterance.goesOn, utterance.voiced] = [true, true]; // a pause ends it even if nothing more is said
};
const finish = (toSend) => {
  const one = utterance;
  utterance = null;
  recent = [];
  if (!one?.blocks.length) return;
  one.asking?.abort();
  one.settling = true;
  if (mode === 'off') tell('Writing down what you said…');
  settled = settled.then(() => settle(one, toSend)).catch((error) => tell(`Not heard: ${error.message}`));
};

// Who writes in the box while speaking goes on from there.
const edited = (one) => {
  if (area().value === one.shown || held() === one.shown || cleared()) return false;
  Object.assign(one, { before: held(), shown: held(), blocks: one.blocks.slice(-1) });
  return true;
};
const live = async (one) => {
  if (one.asking || one.seconds - one.heard < LIVE || one.seconds - one.heard < 0.05 * one.seconds) return;
  if (edited(one)) return;
  [one.asking, one.heard] = [new AbortController(), one.seconds];
  try {
    const { text } = await transcribe(one, { response_format: 'json' }, one.asking.signal);
    if (text && !one.settling && one === utterance && !isEcho(text)) {
      interrupt();
      if (!edited(one)) {
        one.shown = joined(one.before, text);
        write(one.shown);
      }
    }
  } catch {} // the final transcript says what is wrong
  one.asking = null;
};
const settle = async (one, toSend) => {
  const fields = { response_format: 'verbose_json', 'timestamp_granularities[]': 'word' };
  const asked = () => transcribe(one, fields);
  const { text, words } = await asked().catch(() => pause(1000).then(asked));
  if (mode === 'hands-free' && text && isEcho(text)) return;
  if (text && mode === 'hands-free') interrupt();
  const partial = one.shown !== one.before;
  if (!edited(one)) write(joined(one.before, text));
  else if (text && !partial) write(joined(held(), text));
  const sending = toSend && (text || one.goesOn);
  // what is being said by now stands behind this, or alone if this is sent
  if (utterance && !sending) utterance.before = utterance.shown = held();
  if (utterance && sending) utterance.before = utterance.shown = '';
  const unsure = (words || []).filter((word) => word.confidence < UNSURE()).map((word) => word.word);
  if (unsure.length) tell('Not sure about:', [...new Set(unsure)]);
  else if (!text) tell(mode === 'off' ? 'No speech was heard.' : 'No speech was heard. Listening…');
  else tell(mode === 'off' ? '' : 'Listening…');
  if (sending) await send();
};
const UNSURE = () => Number($('#voice').dataset.unsure);

// Who speaks wants no more of the answer.
const interrupt = () => {
  if (mode !== 'hands-free' || !(speaking() || answering())) return;
  hush();
  stopAnswer();
};
const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}']+/gu) || [];
const isEcho = (text) => {
  if (!speaking()) return false;
  const own = new Set(wordsOf(told));
  const words = wordsOf(text);
  return words.filter((word) => own.has(word)).length > ECHO * words.length;
};

// The page's own door to Whisper is the public one.
const transcribe = async (one, fields, signal) => {
  const form = new FormData();
  form.append('file', wavOf(one.blocks), 'speech.wav');
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  const response = await fetch(api('audio/transcriptions'), { method: 'POST', body: form, signal });
  const content = await response.json();
  if (!response.ok) throw new Error(content.error?.message || `the server says ${response.status}`);
  return content;
};
