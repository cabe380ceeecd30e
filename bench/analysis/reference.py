"""Verification against panopticapi: scores the saved predictions of a run with the reference implementation.

The ground truth is written to a temporary folder in COCO panoptic format, so both implementations share only PNG and
JSON files. Every image line is recomputed from data and prediction as well.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.analysis.verify import VerificationCheck
from bench.datasets.dataset import Dataset
from bench.errors import DataError, UsageError, error_context
from bench.io.canonical_json import canonical_json
from bench.io.coco_writer import coco_categories, write_panoptic
from bench.metrics.score import Score, score
from bench.parallel import ordered_map
from bench.results.image_line import image_line
from bench.results.line_digests import json_line
from bench.results.predictions import PredictionFolder, safe_file_stem
from bench.results.run import Run
from bench.types import Categories, ProgressCallback, Sample

# Of PQ, SQ and RQ: panopticapi adds the IoU up in another order. TP, FP and FN must be equal.
TOLERANCE = 1e-12
Table = dict[str, dict[str, float]]  # class, or "mean of all" → quantity → number
COUNTS = ("TP", "FP", "FN")
QUALITIES = ("PQ", "SQ", "RQ")


@dataclass(frozen=True)
class ReferenceDifference:
    """The largest absolute difference of one quantity, and the class or mean where it occurs."""

    quantity: str
    largest: float
    at: str

    @property
    def agrees(self) -> bool:
        return self.largest <= (0 if self.quantity in COUNTS else TOLERANCE)


@dataclass(frozen=True)
class Reference:
    """Result of `verify_reference`.

    `deviation` holds the differences of the run's own protocol from panopticapi. They are intended and do not fail a
    check; empty for protocol `coco`.
    """

    checks: tuple[VerificationCheck, ...]
    differences: tuple[ReferenceDifference, ...]
    deviation: tuple[ReferenceDifference, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return differences by quantity; qualities are fractions."""
        return {
            name: {d.quantity: {"largest": d.largest, "at": d.at} for d in found}
            for name, found in (("differences", self.differences), ("deviation", self.deviation))
        }


def verify_reference(
    run: Run,
    dataset: Dataset,
    predictions: PredictionFolder,
    *,
    workers: int = 2,
    on_image: ProgressCallback | None = None,
) -> Reference:
    """Score predictions with panopticapi against the data set that the run was scored on.

    Raises DataError if an image is missing from either, UsageError if the data set has no instances.
    """
    if "panoptic" not in dataset.carries:
        raise UsageError(
            f"{dataset.name} has semantic labels only, which panopticapi cannot score; leave --reference out"
        )
    api = _panopticapi()
    lines = {str(line["image_id"]): line for line in run.lines()}
    samples = dataset.only(list(lines)).samples
    known = {row["id"]: row for row in coco_categories(run.categories)}
    findings: list[str] = []
    truths: list[Mapping[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        work = partial(_again, folder=Path(scratch), predictions=predictions, categories=run.categories)
        for annotation, fresh in ordered_map(work, samples, workers):
            truths.append(annotation)
            with _stored(run):
                findings.extend(_changed(fresh, lines[annotation["image_id"]]))
            if on_image:
                on_image(len(truths), len(samples))
        theirs = _reference_table(_stat(api, truths, Path(scratch), predictions, known), known)
    same = len(truths) - len(findings)
    note = (
        f"{same} of {len(truths)} lines are equal when computed from {dataset.name}:{dataset.split} and the predictions"
    )
    with _stored(run):
        return _judged(run, theirs, VerificationCheck("rescored", note, tuple(findings)))


@contextlib.contextmanager
def _stored(run: Run) -> Iterator[None]:
    """Raise DataError if the stored files of the run are malformed."""
    try:
        with error_context(run.folder):
            yield
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{run.folder}: its stored files cannot be read ({type(error).__name__}: {error}); "
            "`bench verify` without --reference shows which"
        ) from error


def _judged(run: Run, theirs: Table, rescored: VerificationCheck) -> Reference:
    """Compare panopticapi's table with the run's lines scored by protocol `coco`, which panopticapi implements."""
    rule = run.semantic_rule
    # Scored again by protocol coco, since the run may have been scored by another one.
    found = _differences(_own_table(score(run.lines(), run.categories, rule)), theirs)
    findings = tuple(f"{d.quantity} differs by {d.largest:g} at {d.at}" for d in found if not d.agrees)
    check = VerificationCheck("reference", "panopticapi on the same files, protocol coco", findings)
    own = run.score.protocol
    return Reference((rescored, check), found, () if own == "coco" else _differences(_own_table(run.score), theirs))


def _panopticapi() -> Any:
    try:
        from panopticapi import evaluation
    except ImportError:
        raise DataError(
            "panopticapi is not installed; pip install --no-deps panopticapi-lite, then repeat the command"
        ) from None
    return evaluation


def _again(
    sample: Sample, folder: Path, predictions: PredictionFolder, categories: Categories
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the truth of one image as PNG. Return its annotation and the recomputed image line."""
    truth = sample.read_target()
    prediction = predictions.read(sample.image_id, categories)
    annotation = write_panoptic(folder / f"{safe_file_stem(sample.image_id)}.png", truth)
    line = json_line(image_line(replace(sample, read_target=lambda: truth), prediction, categories))
    return {**annotation, "image_id": sample.image_id}, json.loads(line)


def _changed(fresh: Mapping[str, Any], stored: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if parts of a stored line differ from the recomputed one. Scores are not compared."""
    one, other = _without_scores(fresh), _without_scores(stored)
    parts = [name for name in one if canonical_json(one[name]) != canonical_json(other.get(name))]
    if parts:
        moved = _moved_px(fresh, stored) if parts == ["overlap"] else None
        where = "" if moved is None else f" ({moved} px)"
        yield f"image {stored['image_id']!r}: data and prediction give another {', '.join(parts)} than stored{where}"


def _without_scores(line: Mapping[str, Any]) -> dict[str, Any]:
    overlap = line.get("overlap")
    if overlap is None:
        return dict(line)
    return {**line, "overlap": {**overlap, "predicted": [segment[:-1] for segment in overlap["predicted"]]}}


def _moved_px(fresh: Mapping[str, Any], stored: Mapping[str, Any]) -> int:
    one, other = (Counter({(i, j): n for i, j, n in line["overlap"]["pairs"]}) for line in (fresh, stored))
    return (one - other).total()


def _stat(
    api: Any, truths: Sequence[Mapping[str, Any]], folder: Path, predictions: PredictionFolder, known: dict[int, Any]
) -> Any:
    # pq_compute_single_core of panopticapi/evaluation.py writes areas into the predicted segments_info, and prints its
    # progress on stdout.
    pairs = [(truth, copy.deepcopy(predictions.annotations[truth["image_id"]])) for truth in truths]
    with contextlib.redirect_stdout(io.StringIO()):
        return api.pq_compute_single_core(0, pairs, str(folder), str(predictions.folder), known)


def _reference_table(stat: Any, known: dict[int, Any]) -> Table:
    """Return panopticapi's results, without the classes and groups that have no segment."""
    # pq_average divides by the number of classes with a segment, which may be 0 for things or stuff.
    seen = {number: row for number, row in known.items() if stat[number].tp + stat[number].fp + stat[number].fn}
    table: Table = {}
    for name, isthing in (("all", None), ("things", True), ("stuff", False)):
        if any(isthing in (None, bool(row["isthing"])) for row in seen.values()):
            mean, per_class = stat.pq_average(known, isthing)
            table[f"mean of {name}"] = {q: float(mean[q.lower()]) for q in QUALITIES}
            for number in per_class.keys() & seen.keys():
                counts = {q: float(getattr(stat[number], q.lower())) for q in COUNTS}
                table[known[number]["name"]] = {q: float(per_class[number][q.lower()]) for q in QUALITIES} | counts
    return table


def _own_table(total: Score) -> Table:
    groups = {f"mean of {name}": vars(row) for name, row in total.PQ.items() if row.PQ is not None}
    classes = {row.name: vars(row) for row in total.per_class if row.PQ is not None}
    return {
        name: {q: float(row[q]) for q in (*QUALITIES, *COUNTS) if q in row} for name, row in (groups | classes).items()
    }


def _differences(ours: Table, theirs: Table) -> tuple[ReferenceDifference, ...]:
    """Return the largest difference of each quantity. A class missing on one side counts as 0 there."""
    found = []
    for quantity in (*QUALITIES, *COUNTS):
        gaps = {
            name: abs(ours.get(name, {}).get(quantity, 0.0) - theirs.get(name, {}).get(quantity, 0.0))
            for name in [*ours, *(name for name in theirs if name not in ours)]
        }
        at = max(gaps, key=lambda name: gaps[name], default="")
        found.append(ReferenceDifference(quantity, gaps.get(at, 0.0), at if gaps.get(at) else ""))
    return tuple(found)
