// Following an answer as it is written, to speak its sentences.

const BLOCKS = 'p, li, h1, h2, h3, h4, h5, h6, td, th';
// Of the newest answer; each is followed by a row about it: see ui/transcript.py.
const newest = () => {
  const rows = document.querySelectorAll('#chat .bot-row');
  const row = rows[rows.length - 2];
  const parts = row ? [...row.querySelectorAll(BLOCKS)].filter((block) => !block.querySelector(BLOCKS)) : [];
  // not innerText: it is another while the tab is hidden. Marks that are still to become Markdown are not read.
  const lines = (parts.length ? parts : row ? [row] : []).map((block) => block.textContent.trim());
  const text = lines.filter(Boolean).join('\n').replace(/[*_`#]/g, '');
  return { rows: rows.length, text: text === '…' ? '' : text };
};

let before = { rows: 0, text: '' }; // the newest answer while none was written
let answer = null; // the one that is written: { rows, at: characters given out, quiet }
const speaks = () => settings.speak || mode === 'hands-free';

const sentencesOf = (text) =>
  Intl.Segmenter
    ? Array.from(new Intl.Segmenter('en', { granularity: 'sentence' }).segment(text), (part) => part.segment)
    : text.match(/[^.!?\n]*[.!?\n]+\s*|[^.!?\n]+$/g) || [];

const follow = () => {
  const writing = answering();
  if (!writing && !answer) {
    before = newest();
    return;
  }
  const now = newest();
  if (!answer) answer = { rows: null, at: 0, quiet: !speaks() || talking() };
  if (answer.rows === null) {
    if (now.rows === before.rows + 2) answer.rows = now.rows; // to a new question
    else if (now.rows === before.rows && now.text !== before.text) {
      answer.rows = now.rows; // another one in its place, or it goes on
      if (before.text && now.text.startsWith(before.text)) answer.at = before.text.length;
    }
  }
  if (answer.rows !== null && answer.rows !== now.rows) answer.quiet = true; // another conversation was opened
  if (answer.rows !== null && !answer.quiet) {
    const parts = sentencesOf(now.text.slice(answer.at));
    // the last one may still grow
    for (const part of writing ? parts.slice(0, -1) : parts) {
      answer.at += part.length;
      say(part);
    }
  }
  if (!writing) [answer, before] = [null, now];
};
const hush = () => {
  if (answer) answer.quiet = true;
  silence();
};
