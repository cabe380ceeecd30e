"""Image sums of a stored run, and whether its lines verify it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.comparison import run_sums
from bench.analysis.verify import totals_check
from bench.metrics.image_statistics import ImageSums
from bench.results.columns import StoredLines
from bench.results.run import Run


@dataclass(frozen=True, eq=False)
class RunScan:
    """Sums of the images of a run, and the reason why it is not verified, None if it is."""

    folder: Path
    sums: ImageSums
    unverified: str | None


def scan_run(run: Run) -> RunScan:
    """Scan the lines of a run. A DataError names the run and the image of an invalid line."""
    # Of a copy, since the columns that a run keeps have some 25 MB for 5,000 images, and a board has many runs.
    read = replace(run)
    return RunScan(run.folder, run_sums(read), _unverified(read, read.stored))


def _unverified(run: Run, stored: StoredLines) -> str | None:
    """Return why a run is not verified, or None if its lines have its checksum and give its totals again."""
    # In the order of the cost; totals are scored again only for lines that are those of the run.
    if not stored.columns.image_ids:
        return "lines missing"
    if stored.sha256 != run.complete.images_sha256:
        return "lines changed"
    return None if totals_check(run, lambda: stored.columns).result == "ok" else "totals not confirmed"
