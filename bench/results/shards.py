"""Shards of a run: which batches one process evaluates, and the names of its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Shard `index` of `count`, counted from 0; an unsharded run is shard 0 of 1."""

    index: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """Name in file names, such as 0-of-4."""
        return f"{self.index}-of-{self.count}"

    def of(self, cuts: Sequence[T]) -> Sequence[T]:
        """Return every `count`-th batch."""
        # Sharding by images would put others into a batch, and padding makes predictions depend on these.
        return cuts[self.index :: self.count]


WHOLE = Shard()


def parse_shard(text: str) -> Shard:
    """Parse `I/N` as given on the command line: `1/4` is the second of four. Raises UsageError if invalid."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not found or not int(found[1]) < int(found[2]):
        raise UsageError(f"--shard {text}: is not I/N with I below N; the parts of four are 0/4, 1/4, 2/4, 3/4")
    return Shard(int(found[1]), int(found[2]))
