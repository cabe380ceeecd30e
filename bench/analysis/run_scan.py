"""One pass over the image lines of a stored run, and whether they verify it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.analysis.verify import totals_check
from bench.errors import error_context
from bench.metrics.image_statistics import ImageStatistics, ImageSums, image_sums, statistics_of_lines
from bench.results.line_digests import Line, LineDigests
from bench.results.run import Run


@dataclass(frozen=True, eq=False)
class RunScan:
    """One pass over the lines of a run: their sha256 as stored, and the statistics of each line in file order."""

    run: Run
    digest: str
    counted: tuple[ImageStatistics, ...]

    def sums(self) -> ImageSums:
        with error_context(self.run.folder):
            return image_sums(self.counted, self.run.categories, self.run.semantic_rule)


def scan_run(run: Run) -> RunScan:
    """Scan the lines of a run one at a time. A DataError names the run and the image of an invalid line."""
    digests = LineDigests()
    with error_context(run.folder):
        counted = tuple(statistics_of_lines(_digested(run, digests), run.categories, run.score.protocol))
    return RunScan(run, digests.digest(), counted)


def _digested(run: Run, digests: LineDigests) -> Iterator[Line]:
    for line in run.lines():
        digests.read(line)
        yield line


def unverified_reason(scan: RunScan) -> str | None:
    """Return why a run is not verified, or None if its lines have its checksum and give its totals again."""
    run = scan.run
    # In the order of the cost; totals are scored again only for lines that are those of the run.
    if not scan.counted:
        return "lines missing"
    if scan.digest != run.complete.images_sha256:
        return "lines changed"
    return None if totals_check(run, run.lines, scan.counted).result == "ok" else "totals not confirmed"
