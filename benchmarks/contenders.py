"""What serves adapters on one base, all behind the same few calls: ours and three others.

Every contender holds the model of one shape in 4 bits and answers greedily, with adapter `a0` where it can.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from transformers.generation.streamers import BaseStreamer

from benchmarks.shapes import CONTEXT, Shape, token_ids
from models.engine import Engine
from models.request import ChatRequest, Message, Sampling


@dataclass(frozen=True)
class Ask:
    """A prompt of so many words, and the adapters that are to act (a name with its strength)."""

    prompt: str
    adapters: dict[str, float]
    tokens: int


@dataclass(frozen=True)
class Timing:
    """Moments of one answer in seconds since it was asked for: of each token."""

    tokens: tuple[float, ...]

    @property
    def first(self) -> float:
        """Until the first token."""
        return self.tokens[0]

    @property
    def rate(self) -> float:
        """Tokens per second after the first."""
        return (len(self.tokens) - 1) / (self.tokens[-1] - self.tokens[0])


class Contender(Protocol):
    """One way to serve adapters."""

    title: str

    def ask(self, ask: Ask) -> Timing:
        """One answer, alone."""

    def ask_all(self, asks: Sequence[Ask]) -> list[Timing]:
        """Several at once, as well as the contender can."""


class Troupe:
    """This project's engine."""

    title = "Troupe"

    def __init__(self, engine: Engine):
        self.engine = engine

    def ask(self, ask: Ask) -> Timing:
        return self.ask_all([ask])[0]

    def ask_all(self, asks: Sequence[Ask], gaps: Sequence[float] = ()) -> list[Timing]:
        """`gaps` are seconds to wait before each request."""
        timings: dict[int, Timing] = {}

        def read(number: int, begun: float, stream) -> None:
            moments = [time.perf_counter() - begun for chunk in stream if chunk.text]
            timings[number] = Timing(tuple(moments))

        threads = []
        for number, ask in enumerate(asks):
            time.sleep(gaps[number] if gaps else 0)
            begun = time.perf_counter()
            stream = self.engine.stream(request(ask))
            threads.append(threading.Thread(target=read, args=(number, begun, stream)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        return [timings[number] for number in range(len(asks))]


def request(ask: Ask) -> ChatRequest:
    """For the engine."""
    sampling = Sampling(temperature=0, max_tokens=ask.tokens)
    return ChatRequest((Message(role="user", content=ask.prompt),), ask.adapters, sampling)


class _Moments(BaseStreamer):
    """Notes when each token comes out of `generate`; the first call brings the prompt."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.moments: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.moments.append(time.perf_counter() - self.begun)

    def end(self) -> None:
        pass


def _one_after_the_other(contender: Contender, asks: Sequence[Ask]) -> list[Timing]:
    """Each has waited for those before it."""
    begun, timings = time.perf_counter(), []
    for ask in asks:
        before = time.perf_counter() - begun
        timings.append(Timing(tuple(moment + before for moment in contender.ask(ask).tokens)))
    return timings


class PeftSwitch:
    """transformers' `generate` with PEFT's `set_adapter` under a lock: what most demos do."""

    title = "transformers + PEFT set_adapter"

    def __init__(self, model: PeftModel):
        self._model = model
        self._lock = threading.Lock()

    def ask(self, ask: Ask) -> Timing:
        begun = time.perf_counter()
        with self._lock:
            (name,) = ask.adapters
            self._model.set_adapter(name)
            moments = _Moments()
            self._generate([ask], streamer=moments)
        waited = moments.begun - begun
        return Timing(tuple(moment + waited for moment in moments.moments[1:]))

    def ask_all(self, asks: Sequence[Ask]) -> list[Timing]:
        return _one_after_the_other(self, asks)

    def _generate(self, asks: Sequence[Ask], **options) -> None:
        ids = torch.tensor([token_ids(ask.prompt) for ask in asks])
        with torch.inference_mode():
            self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=asks[0].tokens,
                min_new_tokens=asks[0].tokens,
                do_sample=False,
                **options,
            )


class PeftNames(PeftSwitch):
    """PEFT's `generate(adapter_names=...)`: several adapters in one batch that starts and ends together."""

    title = "PEFT adapter_names"

    def ask_all(self, asks: Sequence[Ask]) -> list[Timing]:
        moments: list[float] = []
        begun = time.perf_counter()

        def note(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            moments.append(time.perf_counter() - begun)
            return scores

        self._generate(
            asks, adapter_names=[next(iter(ask.adapters)) for ask in asks], logits_processor=[note]
        )
        return [Timing(tuple(moments))] * len(asks)


def build_peft(folder: Path, adapters: int) -> dict[str, Contender]:
    """`switch` and `names`, on one base as `load_in_4bit` gives it."""
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    base = AutoModelForCausalLM.from_pretrained(
        folder / "model", dtype=torch.bfloat16, quantization_config=quantisation
    )
    base.generation_config.eos_token_id = None  # answers of equal length
    model = PeftModel.from_pretrained(base, folder / "a0", adapter_name="a0").eval()
    for number in range(1, adapters):
        model.load_adapter(folder / f"a{number}", adapter_name=f"a{number}")
    return {"switch": PeftSwitch(model), "names": PeftNames(model)}


def build_llama_cpp(shape: Shape, folder: Path, threads: int) -> dict[str, Contender]:
    """`llama`, with its files written first, once."""
    from benchmarks import gguf_file

    gguf_file.make(shape, folder)
    return {"llama": LlamaCpp(folder, threads)}


class LlamaCpp:
    """llama.cpp by llama-cpp-python: Q4_0, one adapter for all requests, one request at a time."""

    title = "llama.cpp Q4_0"

    def __init__(self, folder: Path, threads: int):
        from llama_cpp import Llama

        self._llama = Llama(
            str(folder / "model.gguf"),
            lora_path=str(folder / "a0.gguf"),
            n_ctx=CONTEXT,
            n_threads=threads,
            n_threads_batch=threads,
            n_batch=512,
            verbose=False,
        )

    def ask(self, ask: Ask) -> Timing:
        import llama_cpp

        ids, moments = token_ids(ask.prompt), []
        self._llama.reset()
        begun = time.perf_counter()
        for _ in range(ask.tokens):
            self._llama.eval(ids)
            logits = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
            ids = [int(np.ctypeslib.as_array(logits, (self._llama.n_vocab(),)).argmax())]
            moments.append(time.perf_counter() - begun)
        return Timing(tuple(moments))

    def ask_all(self, asks: Sequence[Ask]) -> list[Timing]:
        return _one_after_the_other(self, asks)
