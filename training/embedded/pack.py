"""Conversations -> rows of token ids. A row holds whole conversations that cannot see each other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

_WAITING = 64  # rows that are open at once; more would pack a little tighter


@dataclass(frozen=True)
class Rows:
    """`ids` and `part` are [rows, length]; part 0 is padding, the conversations of a row count from 1."""

    ids: np.ndarray
    part: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def pack(documents: Iterable[list[int]], length: int, count: int, pad: int) -> Rows:
    """The first `count` rows that fill up; documents longer than a row are cut to it."""
    ids = np.full((count, length), pad, dtype=np.int16)
    part = np.zeros((count, length), dtype=np.int16)
    done = 0
    waiting: list[list[list[int]]] = []
    for document in documents:
        document = document[:length]
        fits = [row for row in waiting if sum(map(len, row)) + len(document) <= length]
        if fits:
            max(fits, key=lambda row: sum(map(len, row))).append(document)
            continue
        if len(waiting) == _WAITING:
            fullest = max(range(len(waiting)), key=lambda i: sum(map(len, waiting[i])))
            _write(waiting.pop(fullest), ids[done], part[done])
            done += 1
            if done == count:
                return Rows(ids, part)
        waiting.append([document])
    for row in waiting[: count - done]:
        _write(row, ids[done], part[done])
        done += 1
    return Rows(ids[:done], part[:done])


def _write(row: list[list[int]], ids: np.ndarray, part: np.ndarray) -> None:
    at = 0
    for number, document in enumerate(row, 1):
        ids[at : at + len(document)] = document
        part[at : at + len(document)] = number
        at += len(document)


def batch(rows: Rows, chosen: np.ndarray, device: torch.device) -> dict[str, torch.Tensor]:
    """Model inputs [n, length]: a mask that keeps conversations apart, positions from 0 in each, labels."""
    ids = torch.from_numpy(rows.ids[chosen].astype(np.int64)).to(device)
    part = torch.from_numpy(rows.part[chosen].astype(np.int64)).to(device)
    length = ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    mask = (part[:, None, :, None] == part[:, None, None, :]) & causal
    at = torch.arange(length, device=device).expand_as(part)
    begins = torch.cat([torch.ones_like(part[:, :1], dtype=torch.bool), part[:, 1:] != part[:, :-1]], dim=1)
    first = torch.where(begins, at, 0).cummax(dim=1).values
    # The model shifts the labels itself; a conversation's first token cannot be told from the one before.
    labels = torch.where((part == 0) | begins, -100, ids)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": at - first, "labels": labels}
