"""How a check goes through the images of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.check.findings import ImageCheck, Totals
from bench.pipeline import ordered_map

T = TypeVar("T")


@dataclass(frozen=True)
class Walk:
    """The first `limit` images (None: all) on `workers` threads; `on_image(done, total)` is told of each."""

    limit: int | None = None
    workers: int = 2
    on_image: Callable[[int, int], None] | None = None

    def over(self, jobs: Sequence[T], check: Callable[[T], ImageCheck], totals: Totals) -> None:
        """Adds what `check` finds in each image to the totals, in order."""
        chosen = jobs[: self.limit]
        for done, image in enumerate(ordered_map(check, chosen, self.workers), 1):
            totals.add(image)
            if self.on_image is not None:
                self.on_image(done, len(chosen))
