// What a visitor has chosen, kept in this browser.

const KEY = 'troupe-voice';
// `pause` and the others are numbers of seconds, or times as fast
const settings = { voice: '', speed: 1, pause: 1.2, send: false, speak: false };
const FIELDS = { 'voice-name': 'voice', 'voice-speed': 'speed', 'voice-pause': 'pause', 'voice-send': 'send' };
try {
  Object.assign(settings, JSON.parse(localStorage.getItem(KEY)) || {});
} catch {} // a browser without storage keeps nothing

const keepSettings = () => {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {}
};
const showSettings = () => {
  for (const [id, name] of Object.entries(FIELDS)) {
    const field = $(`#${id}`);
    if (!field) continue;
    if (field.type === 'checkbox') field.checked = settings[name];
    else field.value = settings[name];
    if (field.type === 'range') field.nextElementSibling.value = field.value;
  }
};
const takeSetting = (field) => {
  const name = FIELDS[field.id];
  if (!name) return;
  settings[name] = field.type === 'checkbox' ? field.checked : field.type === 'range' ? Number(field.value) : field.value;
  keepSettings();
  showSettings();
};
