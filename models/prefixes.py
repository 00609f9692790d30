"""Prefixes: finished requests' keys and values, so that a chat's next turn costs its new tokens only."""

from models.mix import Mix
from models.sequence import Sequence


class Prefixes:
    """Kept sequences, the least recently used first, within a budget of bytes. One thread uses it.

    Keys and values depend on the adapters: a request shares them only with the same mix of the same contents.
    """

    def __init__(self, budget: int):
        self._budget = budget
        self._kept: list[Sequence] = []

    def begin(self, sequence: Sequence) -> None:
        """Give a new sequence the pages that are known already; its last token is always left to be read."""
        wanted = sequence.ids[:-1]
        alike = [kept for kept in self._kept if kept.mix.salt == sequence.mix.salt]
        best = max(alike, key=lambda kept: kept.shared(wanted), default=None)
        if best is not None and (count := best.shared(wanted)):
            sequence.begin_with(best, count)
            self._kept.remove(best)
            self._kept.append(best)

    def keep(self, sequence: Sequence) -> None:
        """Keep what a finished request has read; it stands for every kept one that it begins with."""
        if sequence.cache is not None:
            return
        sequence.back_to_settled()
        sequence.mix = Mix(sequence.mix.parts)  # without the matrices that were made ready for it
        self._kept = [
            kept
            for kept in self._kept
            if kept.mix.salt != sequence.mix.salt or kept.ids != sequence.ids[: len(kept.ids)]
        ]
        self._kept.append(sequence)
        while sum(kept.bytes for kept in self._kept) > self._budget:
            self._kept.pop(0)

    def unsettled(self) -> Sequence | None:
        """One whose answer could be read again in pages while nobody waits, the newest first."""
        return next((kept for kept in reversed(self._kept) if kept.unsettled), None)

    def drop(self, sequence: Sequence) -> None:
        """Forget it."""
        self._kept.remove(sequence)
