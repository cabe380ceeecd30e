"""A part of a run: which of the batches this process does, and what its files are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """The `index`-th of `count` parts, counted from 0; the whole run is 0 of 1."""

    index: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """As its files have it: 0-of-4."""
        return f"{self.index}-of-{self.count}"

    def of(self, cuts: Sequence[T]) -> Sequence[T]:
        """Every `count`-th batch. They were cut from the whole order, so that each image keeps its neighbours."""
        return cuts[self.index :: self.count]


WHOLE = Shard()


def parse_shard(text: str) -> Shard:
    """`1/4` → the second of four."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not found or not int(found[1]) < int(found[2]):
        raise UsageError(f"--shard {text}: is no part; shards count from 0: 0/4, 1/4, 2/4, 3/4 are four parts")
    return Shard(int(found[1]), int(found[2]))
