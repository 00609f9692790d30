"""The page's named endpoints for programs that use gradio_client: /chat and /compare."""

import gradio as gr

from models.errors import TroupeError
from models.registry import BARE
from models.request import ChatRequest, Message
from models.stage import Stage
from ui import roles
from ui.answering import together
from ui.compare import start_both
from ui.running import progress


def add_endpoints(stage: Stage) -> None:
    """Call inside a Blocks context. The return hints are those of one update: gr.api wants them so."""

    def chat(message: str, role: str = BARE, system: str = "", seed: int | None = None) -> str:
        """The answer of a role ("base" or an adapter's name) to a message, as it grows."""
        _check(message=message, role=role, system=system, seed=seed)
        engine = stage.engine
        said = [Message(role="system", content=system)] if system.strip() else []
        said.append(Message(role="user", content=message))
        try:
            stream = engine.stream(
                ChatRequest(tuple(said), roles.adapters(role), roles.sampling(engine, role), seed)
            )
            for now in progress(stream):
                yield now.text
        except TroupeError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def compare(prompt: str, left: str, right: str, seed: int | None = None) -> tuple[str, str]:
        """The answers of two roles to one prompt, with one seed, as they grow."""
        _check(prompt=prompt, left=left, right=right, seed=seed)
        answers = ["", ""]
        try:
            streams = start_both(stage.engine, prompt, (left, right), seed)
            for which, now in together(*streams):
                if isinstance(now, Exception):
                    raise now
                answers[which] = now.text
                yield answers[0], answers[1]
        except TroupeError as error:
            raise gr.Error(str(error), print_exception=False) from error

    gr.api(chat, api_name="chat")
    gr.api(compare, api_name="compare")


def _check(seed: object, **texts: object) -> None:
    """Gradio passes on whatever JSON a program sends, of any type."""
    for name, text in texts.items():
        if not isinstance(text, str):
            raise gr.Error(f"{name}: {text!r} is no text.", print_exception=False)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise gr.Error(f"seed: {seed!r} is no whole number.", print_exception=False)
