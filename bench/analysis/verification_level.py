"""Verification level of a stored run, from one pass over its image lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.analysis.verify import totals_check
from bench.errors import DataError, UsageError, error_context
from bench.io.files import read_json, write_json
from bench.io.hashing import FileDigests
from bench.metrics.image_statistics import ImageStatistics, ImageSums, image_sums, statistics_of_lines
from bench.results.line_digests import Line, LineDigests
from bench.results.predictions import PredictionFolder
from bench.results.run import Run, semantic_rule


@dataclass(frozen=True, eq=False)
class RunScan:
    """One pass over the lines of a run: their sha256 as stored, and the statistics of each line in file order."""

    run: Run
    digest: str
    counted: tuple[ImageStatistics, ...]

    def sums(self) -> ImageSums:
        with error_context(self.run.folder):
            return image_sums(self.counted, self.run.categories, semantic_rule(self.run))


def scan_run(run: Run) -> RunScan:
    """Scan the lines of a run one at a time. A DataError names the run and the image of an invalid line."""
    digests = LineDigests()
    with error_context(run.folder):
        counted = tuple(statistics_of_lines(_digested(run, digests), run.categories, run.score["protocol"]))
    return RunScan(run, digests.digest(), counted)


def _digested(run: Run, digests: LineDigests) -> Iterator[Line]:
    for line in run.lines():
        digests.read(line)
        yield line


VerificationLevel = Literal["changed", "intact", "re-scored", "re-run"]
KEPT = "again.json"
LEVEL_NOTE = (
    "checked: *intact*, the stored lines have the checksum of the run; *re-scored*, they also give its totals again; "
    "*re-run*, predictions made again were held against them, too; *changed*, none of it"
)


def verification_level(reading: RunScan) -> VerificationLevel | None:
    """Return the verification level of a run, or None if its image lines are missing.

    changed     the sha256 of the image lines differs from the one in done.json
    intact      the sha256 is equal
    re-scored   the image lines also give every number of done.json
    re-run      `bench verify --predictions DIR --keep` also compared repeated predictions with these lines (again.json)
    """
    run = reading.run
    if not reading.counted:
        return None
    if reading.digest != run.complete["images_sha256"]:
        return "changed"
    if totals_check(run, run.lines, reading.counted).result != "ok":
        return "intact"
    return "re-run" if _kept(run.folder / KEPT) == reading.digest else "re-scored"


def _kept(path: Path) -> str | None:
    try:
        told = read_json(path) if path.is_file() else {}
    except DataError:
        return None
    return told.get("images_sha256") if isinstance(told, dict) else None


def keep_rerun(run: Run, predictions: PredictionFolder | None) -> Path:
    """Record in the run's folder that `predictions`, repeated elsewhere, passed all checks.

    Raises UsageError if they are missing or are the run's own.
    """
    if predictions is None or predictions.folder.resolve().is_relative_to(run.folder.resolve()):
        raise UsageError("--keep notes a second making: name other predictions than the run's own by --predictions")
    told = {"images_sha256": run.complete["images_sha256"], "predictions": predictions.digest(FileDigests())}
    write_json(run.folder / KEPT, told)
    return run.folder / KEPT
