"""A contender in a process of its own: the threads of one must not slow another."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from benchmarks.contenders import Ask, Contender, Timing


class Elsewhere:
    """Passes calls on to the contenders that `build` makes in a new process; `which` names one of them."""

    def __init__(self, build: Callable[..., dict[str, Contender]], *arguments: object):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, arguments), daemon=True)
        self._process.start()
        theirs.close()  # so that its end is noticed here
        self.titles: dict[str, str] = self._result()

    def contender(self, which: str) -> "Remote":
        """One of those that were built."""
        return Remote(self, which, self.titles[which])

    def call(self, which: str, method: str, argument: object) -> object:
        """What the contender's method returns, or an error with its text."""
        self._pipe.send((which, method, argument))
        return self._result()

    def close(self) -> None:
        """End the process; its memory is free then."""
        self._process.terminate()
        self._process.join()

    def _result(self) -> object:
        failed, result = self._pipe.recv()
        if failed:
            raise RuntimeError(result)
        return result


class Remote:
    """A `Contender` that answers in another process."""

    def __init__(self, elsewhere: Elsewhere, which: str, title: str):
        self.title = title
        self._elsewhere, self._which = elsewhere, which

    def ask(self, ask: Ask) -> Timing:
        return self._elsewhere.call(self._which, "ask", ask)

    def ask_all(self, asks: Sequence[Ask]) -> list[Timing]:
        return self._elsewhere.call(self._which, "ask_all", list(asks))


def _serve(pipe: Connection, build: Callable[..., dict[str, Contender]], arguments: Sequence[object]) -> None:
    try:
        contenders = build(*arguments)
        pipe.send((False, {name: contender.title for name, contender in contenders.items()}))
        while True:
            which, method, argument = pipe.recv()
            pipe.send((False, getattr(contenders[which], method)(argument)))
    except EOFError:
        pass
    except Exception as error:
        pipe.send((True, f"{type(error).__name__}: {error}"))
        raise
