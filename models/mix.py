"""Mixes of adapters, and how they act on the rows of a packed batch.

y = base(x) + B(A x), where A and B hold the adapters of the request, with their strengths. In float32, and
each request's product by itself: with more rows it would be rounded otherwise, and no answer may depend on
its company. Single tokens of several requests go into one batched product, which keeps the bits of each.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch

from models.adapter_files import Lora, Up

Salt = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Mix:
    """The adapters that act on one request, each with its strength; kept, whatever the bank drops."""

    parts: tuple[tuple[Lora, float], ...] = ()

    @cached_property
    def salt(self) -> Salt:
        """Equal for mixes that do the same: only then may two requests share keys and values."""
        return tuple((lora.hash, strength) for lora, strength in self.parts)

    @cached_property
    def lora(self) -> Lora:
        """All of it as one adapter: a copy of the matrices, unless it is one adapter at strength 1."""
        return fold(self)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Equal for mixes whose matrices have the same sizes."""
        return tuple(lora.shape for lora, _ in self.parts)


NOTHING = Mix()


class Rows(NamedTuple):
    """Tokens `start:stop` of a packed batch, and what acts on them."""

    start: int
    stop: int
    mix: Mix


class Matrices(Protocol):
    """What acts on some rows."""

    def down(self, group: int, rows: torch.Tensor) -> torch.Tensor | None:
        """rows [n, inputs] -> A x of a group of layers; None if nothing acts on any of them."""

    def up(self, path: str, product: torch.Tensor | None) -> torch.Tensor | None:
        """That -> what one layer adds [n, outputs]; None for nothing."""


@dataclass(frozen=True)
class Together:
    """Rows of one request: ordinary products."""

    lora: Lora

    def down(self, group: int, rows: torch.Tensor) -> torch.Tensor | None:
        matrix = self.lora.down.get(group)
        return None if matrix is None else _product(rows, matrix.t())

    def up(self, path: str, product: torch.Tensor | None) -> torch.Tensor | None:
        part = self.lora.up.get(path)
        return None if part is None else _product(product[:, part.first : part.last], part.matrix)


class Apart:
    """One row each of several requests whose adapters have the same shape: batched products of one row.

    The matrices of different adapters are stacked, once for as long as the same requests go on; rows with the
    same adapters share theirs.
    """

    def __init__(self, loras: Sequence[Lora]):
        first = loras[0]
        self._down = {group: _stacked([lora.down[group] for lora in loras]) for group in first.down}
        self._up = {
            path: part._replace(matrix=_stacked([lora.up[path].matrix for lora in loras]))
            for path, part in first.up.items()
        }

    def down(self, group: int, rows: torch.Tensor) -> torch.Tensor | None:
        matrix = self._down.get(group)
        return None if matrix is None else torch.bmm(rows.unsqueeze(1), matrix.transpose(1, 2)).squeeze(1)

    def up(self, path: str, product: torch.Tensor | None) -> torch.Tensor | None:
        part = self._up.get(path)
        if part is None:
            return None
        return torch.bmm(product[:, None, part.first : part.last], part.matrix).squeeze(1)


def in_order(mixes: Iterable[Mix]) -> list[int]:
    """Indices that put mixes beside each other whose rows `Stacks` can multiply in one product."""
    mixes = list(mixes)
    often = Counter(mix.salt for mix in mixes)
    return sorted(range(len(mixes)), key=lambda at: _side_by_side(mixes[at], often))


class Stacks:
    """Mixes as matrices for the rows of a pass; a stack is kept for as long as the next pass needs it."""

    def __init__(self) -> None:
        self._apart: dict[tuple[Salt, ...], Apart] = {}

    def plan(self, rows: Sequence[Rows]) -> list[tuple[slice, Matrices]]:
        """What acts on which rows. Tokens that no row names, or with no adapters, are the bare base's."""
        plan: list[tuple[slice, Matrices]] = []
        kept: dict[tuple[Salt, ...], Apart] = {}
        for run in _runs([row for row in rows if row.mix.parts]):
            where = slice(run[0].start, run[-1].stop)
            if len(run) == 1:
                plan.append((where, Together(run[0].mix.lora)))
                continue
            salts = tuple(row.mix.salt for row in run)
            kept[salts] = self._apart.get(salts) or Apart([row.mix.lora for row in run])
            plan.append((where, kept[salts]))
        self._apart = kept
        return plan


def fold(mix: Mix) -> Lora:
    """Several adapters, or one at another strength than 1, as one: ranks side by side, strengths in B."""
    if len(mix.parts) == 1 and mix.parts[0][1] == 1:
        return mix.parts[0][0]
    pieces: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    groups: dict[int, list[str]] = {}
    for lora, strength in mix.parts:
        for path, part in lora.up.items():
            rows = lora.down[part.group][part.first : part.last]
            pieces.setdefault(path, []).append((rows, part.matrix * strength))
            if path not in groups.setdefault(part.group, []):
                groups[part.group].append(path)
    down, up = {}, {}
    for group, paths in groups.items():
        down[group] = torch.cat([rows for path in paths for rows, _ in pieces[path]])
        first = 0
        for path in paths:
            matrix = torch.cat([matrix for _, matrix in pieces[path]])
            up[path] = Up(group, first, first + len(matrix), matrix)
            first += len(matrix)
    return Lora(str(mix.salt), down, up)


def _runs(rows: Sequence[Rows]) -> list[list[Rows]]:
    """Neighbouring single tokens that one batched product can take; all other rows by themselves."""
    often = Counter(row.mix.salt for row in rows if row.stop - row.start == 1)
    runs: list[list[Rows]] = []
    for row in rows:
        last = runs[-1][-1] if runs else None
        if (
            last
            and last.stop == row.start
            and last.stop - last.start == row.stop - row.start == 1
            and _side_by_side(last.mix, often) == _side_by_side(row.mix, often)
        ):
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _side_by_side(mix: Mix, often: Mapping[Salt, int]) -> tuple:
    """Equal for mixes whose rows go into one product: the same mix, or different ones of the same shape."""
    return (mix.shape, mix.salt if often[mix.salt] > 1 else ())


def _product(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """A single row as `Apart` multiplies it: small products are added up otherwise there."""
    return torch.bmm(rows[None], matrix[None])[0] if len(rows) == 1 else rows @ matrix


def _stacked(matrices: Sequence[torch.Tensor]) -> torch.Tensor:
    if all(matrix is matrices[0] for matrix in matrices):
        return matrices[0].expand(len(matrices), -1, -1)
    return torch.stack(list(matrices))
