"""Mixes as matrices: folded, stacked, and with the same bits in any company."""

import gc
import weakref

import pytest
import torch

from models.adapter_files import Lora, Up
from models.mix import Mix, Rows, Stacks, in_order

INPUTS, OUTPUTS = 64, 96


def adapter(name: str, *ranks: int) -> Lora:
    """Changes as many layers of one group as there are ranks; 0 leaves one out."""
    torch.manual_seed(sum(name.encode()))
    up, first = {}, 0
    for number, rank in enumerate(ranks):
        if rank:
            up[f"layer{number}"] = Up(7, first, first + rank, torch.randn(rank, OUTPUTS))
            first += rank
    return Lora(name, {7: torch.randn(first, INPUTS)}, up)


def change(lora: Lora, path: str, given: torch.Tensor) -> torch.Tensor:
    """By the definition."""
    if (part := lora.up.get(path)) is None:
        return torch.zeros(len(given), OUTPUTS)
    return given @ lora.down[7][part.first : part.last].t() @ part.matrix


RED, BLUE, GREEN = adapter("red", 4, 4), adapter("blue", 4, 4), adapter("green", 0, 8)
MIXES = [
    Mix(((RED, 1.0),)),
    Mix(((BLUE, 1.0),)),
    Mix(((RED, 0.4),)),
    Mix(((GREEN, 1.5),)),
    Mix(((RED, 0.5), (GREEN, 0.7))),
    Mix(),
]


def added(stacks: Stacks, rows: list[Rows], given: torch.Tensor, path: str) -> torch.Tensor:
    """What a layer adds to all rows."""
    total = torch.zeros(len(given), OUTPUTS)
    for where, matrices in stacks.plan(rows):
        if (change := matrices.up(path, matrices.down(7, given[where]))) is not None:
            total[where] += change
    return total


@pytest.mark.parametrize("path", ["layer0", "layer1"])
def test_a_mix_adds_what_its_adapters_add_times_their_strengths(path: str) -> None:
    given = torch.randn(len(MIXES), INPUTS)
    rows = [Rows(at, at + 1, MIXES[mix]) for at, mix in enumerate(in_order(MIXES))]
    found = added(Stacks(), rows, given, path)
    for row, (start, _, mix) in zip(found, rows, strict=True):
        own = given[start : start + 1]
        right = sum((s * change(lora, path, own) for lora, s in mix.parts), torch.zeros(1, OUTPUTS))
        torch.testing.assert_close(row[None], right, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("ranks", [(1, 0), (1, 1), (2, 4), (4, 4), (16, 16)])
def test_a_row_has_the_same_bits_alone_and_in_company(ranks: tuple[int, int]) -> None:
    mixes = [Mix(((adapter(name, *ranks), 1.0),)) for name in ("one", "two", "three", "three", "four")]
    given, stacks = torch.randn(len(mixes), INPUTS), Stacks()
    together = added(stacks, [Rows(at, at + 1, mix) for at, mix in enumerate(mixes)], given, "layer0")
    for at, mix in enumerate(mixes):
        alone = added(Stacks(), [Rows(0, 1, mix)], given[at : at + 1], "layer0")
        assert torch.equal(together[at : at + 1], alone)


def test_streams_of_different_adapters_stay_one_product_when_a_prompt_joins() -> None:
    rows = [Rows(at, at + 1, mix) for at, mix in enumerate(MIXES[:2])]
    prompt = Rows(2, 2 + 16, MIXES[1])
    stacks = Stacks()
    (where, apart), *_ = stacks.plan(rows)
    assert (where.start, where.stop) == (0, 2)
    assert stacks.plan([*rows, prompt])[0] == (where, apart)


def test_nothing_is_kept_for_mixes_that_are_gone() -> None:
    stacks = Stacks()
    ((_, apart),) = stacks.plan([Rows(at, at + 1, mix) for at, mix in enumerate(MIXES[:2])])
    kept = weakref.ref(apart)
    del apart
    assert kept()
    stacks.plan([Rows(0, 1, Mix())])
    gc.collect()
    assert not kept()
