"""Work that is for one client ends with it: what it asked for is cancelled when it hangs up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from fastapi import Request


class Cancellable(Protocol):
    """A stream of the engine, or a transcription."""

    def cancel(self) -> None: ...


@asynccontextmanager
async def cancel_when_gone(request: Request, work: Cancellable) -> AsyncIterator[None]:
    """While inside, and at the end in any case. The request's body must have been read."""
    watch = asyncio.create_task(_wait(request, work))
    try:
        yield
    finally:
        watch.cancel()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await watch


async def _wait(request: Request, work: Cancellable) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    work.cancel()
