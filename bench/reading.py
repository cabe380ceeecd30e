"""The image lines of a complete run, gone through once for all that is asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.comparison import semantic_rule
from bench.errors import naming
from bench.ledger import Ledger, Line
from bench.metrics.counted import Counted, count
from bench.metrics.sums import ImageSums, counted_sums
from bench.results import Run


@dataclass(frozen=True, eq=False)
class Reading:
    """`digest` is the sha256 of the lines as they lie there, `counted` what each adds, in their order."""

    run: Run
    digest: str
    counted: tuple[Counted, ...]

    def sums(self) -> ImageSums:
        """What each image adds to the score, for resampling."""
        with naming(self.run.folder):
            return counted_sums(self.counted, self.run.categories, semantic_rule(self.run))


def read_through(run: Run) -> Reading:
    """Holds no line; a DataError names the run and the image whose line is broken."""
    ledger = Ledger()
    with naming(run.folder):
        counted = tuple(count(_noted(run, ledger), run.categories, run.score["protocol"]))
    return Reading(run, ledger.digest(), counted)


def _noted(run: Run, ledger: Ledger) -> Iterator[Line]:
    for line in run.lines():
        ledger.read(line)
        yield line
