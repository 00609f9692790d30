"""The banner: which base answers, and how to choose a larger one."""

import html
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from models.errors import TroupeError
from models.stage import Stage
from ui.controls import Update

log = logging.getLogger(__name__)


class Banner:
    """A line about the base, and where the limits allow it a dropdown that puts on another for everybody."""

    def __init__(self, stage: Stage):
        self._stage = stage
        registry = stage.registry
        self._may_switch = _may_switch(stage)
        with gr.Row(elem_id="banner", equal_height=True):
            self.text = gr.HTML(_describe(stage), elem_id="banner-text", scale=3, min_width=300)
            self.base = gr.Dropdown(
                [(base.title, name) for name, base in registry.bases.items()],
                value=stage.base,
                label="Base model",
                filterable=False,
                scale=1,
                min_width=240,
                visible=self._may_switch,
                elem_id="base",
            )

    @property
    def parts(self) -> list[Any]:
        return [self.text, self.base]

    def show(self) -> Update:
        """Updates for the base that is on now: somebody else may have changed it."""
        return {self.text: _describe(self._stage), self.base: gr.Dropdown(value=self._stage.base)}

    def wire(self, refresh: Callable[[], Update], outputs: list[Any]) -> None:
        """Connect the dropdown; `refresh` gives the updates of the rest of the page."""
        if not self._may_switch:
            return  # not merely hidden: an event that is wired can be sent by anybody

        def switch(name: str) -> Iterator[Update]:
            if name == self._stage.base:
                yield self.show()
                return
            title = self._stage.registry.base(name).title
            yield {
                self.text: _line(f"Loading <b>{html.escape(title)}</b> …", "This can take minutes."),
                self.base: gr.Dropdown(interactive=False),
            }
            rest: Update = {}
            try:
                self._stage.switch(name)
                rest = refresh()
            except TroupeError as error:
                gr.Warning(html.escape(str(error)), title="The base stays as it was", duration=30)
            except Exception:
                log.exception("switching to base %s failed", name)
                gr.Warning("This base could not be loaded; the log has the details.", duration=30)
            yield rest | self.show() | {self.base: gr.Dropdown(value=self._stage.base, interactive=True)}

        self.base.input(
            switch,
            self.base,
            outputs,
            show_progress="minimal",
            show_progress_on=self.text,
            api_visibility="private",
        )


def _may_switch(stage: Stage) -> bool:
    """Not on a Space, whose visitors are strangers to each other: there the `BASE` variable chooses."""
    registry = stage.registry
    return registry.limits.switch_base and len(registry.bases) > 1 and not os.environ.get("SPACE_ID")


def _describe(stage: Stage) -> str:
    base, registry = stage.engine.base, stage.registry
    facts = [f"{base.bytes / 1e6:,.1f} MB", base.quantisation, f"on {str(base.device).upper()}"]
    facts.append(f"context {base.context:,} tokens")
    more = html.escape(base.spec.about)
    if len(registry.bases) > 1:
        larger = "choose one at “Base model”" if _may_switch(stage) else "ask whoever runs this"
        more += f" <span>For a larger base, {larger}, or start with <code>BASE=name</code>.</span>"
    return _line(f"<b>{html.escape(base.spec.title)}</b> answers · {' · '.join(facts)}", more)


def _line(first: str, second: str) -> str:
    return f"<h1>Troupe</h1><div class='lines'><p>{first}</p><p class='quiet'>{second}</p></div>"
