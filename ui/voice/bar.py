"""Voice: the bar under the message box, with which one talks. The scripts do the rest."""

import html
import logging
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from models.audio import decode
from models.errors import TroupeError
from models.stage import Stage
from models.transcript import Listening, Transcript
from ui.controls import HIDDEN, Update
from ui.hearing import hearing

log = logging.getLogger(__name__)

# One script: the files share their names, and none of them with the rest of the page.
_FILES = ("settings", "box", "microphone", "speaking", "following", "listening", "bar")
_HERE = Path(__file__).parent
SCRIPT = "\n".join(["(() => {", *((_HERE / f"{name}.js").read_text("utf-8") for name in _FILES), "})();"])
_UNSURE = 0.5  # words below this confidence are marked
# What one may drop into the box; models/audio.py reads them all.
KINDS = [".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".webm", ".m4a", ".mp4", ".aac", ".aiff", ".aif"]
_BAR = """<div id="voice" role="group" aria-label="Voice" data-server-voices="{voices}"
 data-unsure="{unsure}">
<button id="talk" type="button" aria-pressed="false" {off}
 title="Say what you would write (Alt+T)">🎤 Talk</button>
<button id="hands-free" type="button" aria-pressed="false" {off}
 title="Listens, sends when you pause, speaks the answer, and listens again">Hands-free</button>
<button id="speak" type="button" aria-pressed="false" title="Speak the answers">🔊 Speak answers</button>
<button id="hush" type="button" hidden>Stop speaking</button>
<details><summary>Voice settings</summary>
<label>Voice <select id="voice-name"></select></label>
<label>Speed <input id="voice-speed" type="range" min="0.5" max="2" step="0.1"><output></output></label>
<label>Pause that ends a message, seconds
 <input id="voice-pause" type="range" min="0.4" max="4" step="0.1"><output></output></label>
<label><input id="voice-send" type="checkbox"> Send at once what I said</label>
</details>
<p id="about-speech">{about}</p>
<p id="heard" role="status">{why}</p>
</div>"""


class Voice:
    """The bar, and what becomes of a recording that is put into the message box."""

    def __init__(self, stage: Stage):
        self._stage = stage
        why = stage.transcriber.unavailable
        spec = stage.transcriber.spec
        about = html.escape(f"Speech is written down by {spec.title}. {spec.about}" if spec else "")
        self.bar = gr.HTML(
            _BAR.format(
                unsure=_UNSURE,
                voices=html.escape(" ".join(stage.speaker.voices)),
                off="disabled" if why else "",
                about=about,
                why=html.escape(f"Talking is not possible here: {why}") if why else "",
            ),
            elem_id="voice-bar",
        )
        with gr.Row(elem_id="recording"):
            self._upload = gr.UploadButton(
                "🎧 A recording", file_types=KINDS, size="sm", interactive=not why, elem_id="upload-recording"
            )
            self._stop = gr.Button("Stop", size="sm", visible=False, elem_id="stop-recording")
            self._progress = gr.HTML(elem_id="recording-progress", elem_classes="quiet")
        self._heard = gr.Textbox(visible=False)

    def wire(self) -> None:
        """A recording that is chosen, or dropped on the chat, is written behind what the box then holds."""
        shown = [self._progress, self._stop, self._heard]
        heard = self._upload.upload(self._hear, self._upload, shown, **HIDDEN)
        # leaving the generator cancels the work: see hearing.py
        self._stop.click(
            lambda: ("Stopped.", gr.Button(visible=False)), None, shown[:2], cancels=heard, **HIDDEN
        )
        heard.then(None, self._heard, None, js="text => window.troupe.append(text)", api_visibility="private")

    def _hear(self, file: str) -> Iterator[Update]:
        """Updates while a recording is heard, window by window."""
        yield {
            self._progress: "Reading the recording…",
            self._stop: gr.Button(visible=True),
            self._heard: "",
        }
        try:
            audio = decode(Path(file), self._stage.registry.limits.audio_seconds)
            for heard in hearing(self._stage.transcriber, audio, Listening()):
                if isinstance(heard, Transcript):
                    yield self._ended(_told(heard)) | {self._heard: heard.text}
                else:
                    told = f"Heard {heard.seconds:.0f} of {heard.duration:.0f} s: …{heard.text[-200:]}"
                    yield {self._progress: html.escape(told)}
        except TroupeError as error:
            gr.Warning(html.escape(str(error)), title="Not heard")
            yield self._ended()
        except Exception:
            log.exception("hearing a recording on the page failed")
            gr.Warning("Something went wrong here; the log has the details.", title="Not heard")
            yield self._ended()

    def _ended(self, told: str = "") -> Update:
        return {self._progress: told, self._stop: gr.Button(visible=False)}


def _told(heard: Transcript) -> str:
    words = (word for one in heard.segments for word in one.words)
    unsure = dict.fromkeys(word.text.strip() for word in words if word.confidence < _UNSURE)
    if not heard.text:
        return "No speech was heard in this recording."
    return html.escape(f"Not sure about: {', '.join(unsure)}") if unsure else ""
