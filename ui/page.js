// Gradio renders HTML inside Markdown, so ui/text.py escapes it outside code. Copied text is the original again.
() => {
  const write = navigator.clipboard?.writeText?.bind(navigator.clipboard);
  if (!write) return;
  const back = { '&lt;': '<', '&amp;': '&', '&#33;&#91;': '![' };
  const original = (text) =>
    text
      .split(/(```[\s\S]*?(?:```|$)|`[^`\n]+`)/)
      .map((part, i) => (i % 2 ? part : part.replace(/&lt;|&amp;|&#33;&#91;/g, (m) => back[m])))
      .join('');
  navigator.clipboard.writeText = (text) => write(original(text));
};
