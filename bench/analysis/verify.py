"""Verification of a run without the data set: totals, checksum, key and predictions against its image lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bench.errors import DataError
from bench.io.canonical_json import digest
from bench.io.files import read_json
from bench.metrics.columns import Columns, overlap_of
from bench.metrics.matching import DEVIATIONS
from bench.metrics.pq import PQ_VERSION
from bench.metrics.score import totals
from bench.metrics.semantic import SEMANTIC_VERSION, category_indices, confusion_of
from bench.overlap import Overlap, PredictedSegment
from bench.results.line_digests import digests_of, lines_digest
from bench.results.predictions import PredictionFolder, saved_predictions
from bench.results.run import Run
from bench.types import Categories, Prediction

Line = Mapping[str, Any]
# Predictions that were repeated on another processor differ in the sixth decimal of a score; no metric here uses
# scores.
SCORE_TOLERANCE = 1e-5
Result = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class VerificationCheck:
    """Result of one check. `findings` lists the problems, one sentence each; `note` describes what was checked."""

    name: str
    note: str
    findings: tuple[str, ...] = ()
    skipped: bool = False

    @property
    def result(self) -> Result:
        return "failed" if self.findings else "skipped" if self.skipped else "ok"

    def to_json(self) -> dict[str, Any]:
        return {"check": self.name, "result": self.result, "note": self.note, "findings": list(self.findings)}


def verify(run: Run, predictions: PredictionFolder | None = None) -> list[VerificationCheck]:
    """Run every check that needs no data set. Raises PartialRun if the run is not complete.

    `predictions` are compared with the image lines, those saved by the run if None. Skipped if there are none.
    """
    # Raises PartialRun.
    _ = run.score
    try:
        lines = list(run.lines())
    except DataError as error:
        return [VerificationCheck("lines", "the stored image lines", (str(error),))]
    return [
        _tried("images", lambda: _images(run, lines)),
        _tried("lines", lambda: _consistency(lines, run.categories)),
        _tried("checksum", lambda: _checksum(run, lines)),
        totals_check(run, lambda: Columns.of(lines, run.categories)),
        _tried("key", lambda: _key(run, lines)),
        _tried("predictions", lambda: _predictions(run, lines, predictions or saved_predictions(run))),
    ]


def _tried(name: str, check: Callable[[], VerificationCheck]) -> VerificationCheck:
    """Run a check; malformed content becomes a finding of it."""
    try:
        return check()
    # Files may have been edited by hand: a check must report that, not fail on it.
    except (DataError, LookupError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, DataError) else f"{type(error).__name__} {error}"
        return VerificationCheck(name, "", (f"the stored files cannot be read: {reason}",))


def _images(run: Run, lines: Sequence[Line]) -> VerificationCheck:
    """Check that each requested image has exactly one line, in the order of run.json."""
    data = run.meta.dataset
    ids = [str(line["image_id"]) for line in lines]
    findings = [f"image {image_id!r} has {n} lines" for image_id, n in Counter(ids).items() if n > 1]
    findings += [
        f"image {image_id!r} has a timing but no line"
        for image_id in dict.fromkeys(str(line["image_id"]) for line in run.timings())
        if image_id not in set(ids)
    ]
    if len(ids) != data.images:
        findings.append(f"{len(ids)} lines for {data.images} images")
    # The order can be compared only if every image has one line.
    elif digest(ids)[:16] != data.image_ids and not findings:
        findings.append("the image ids, or their order, are not those of run.json")
    return VerificationCheck("images", f"{len(ids)} lines", tuple(findings))


def _consistency(lines: Iterable[Line], categories: Categories) -> VerificationCheck:
    """Check that areas equal the sums of shared pixels, and that both tables of a line agree on the truth."""
    findings = tuple(
        f"image {line['image_id']!r}: {fault}" for line in lines for fault in _contradictions(line, categories)
    )
    return VerificationCheck("lines", "areas against shared pixels, overlap against semantic rows", findings)


def _contradictions(line: Line, categories: Categories) -> Iterator[str]:
    if line.get("overlap") is None:
        return
    try:
        overlap = overlap_of(line)
    except DataError as error:
        yield str(error)
        return
    truth, predicted = Counter[int](), Counter[int]()
    # `pairs` include void (0) on both sides, so that they cover each segment completely.
    for i, j, pixels in overlap.pairs:
        truth[i] += pixels
        predicted[j] += pixels
    truth_areas, predicted_areas = [s.area for s in overlap.truth], [s.area for s in overlap.predicted]
    for name, shared, listed in (("truth", truth, truth_areas), ("predicted", predicted, predicted_areas)):
        for number, area in enumerate(listed, 1):
            if shared[number] != area:
                yield f"{name} segment {number} has an area of {area} px, but shares {shared[number]} px"
    semantic = line.get("semantic")
    if semantic is not None and _truth_pixels(semantic) != _truth_pixels(confusion_of(overlap, categories)):
        yield "its semantic rows and its overlap differ in the pixels of the truth's classes"


def _truth_pixels(rows: Iterable[Sequence[int]]) -> Counter[int]:
    counted = Counter[int]()
    for truth, _, pixels in rows:
        counted[truth] += pixels
    return counted


def _checksum(run: Run, lines: Iterable[Line]) -> VerificationCheck:
    stored, found = run.complete.images_sha256, lines_digest(lines)
    wrong = () if stored == found else (f"done.json says {stored[:12]}…, the lines give {found[:12]}…",)
    return VerificationCheck("checksum", f"sha256 of the sorted lines {found[:12]}…", wrong)


def totals_check(run: Run, columns: Callable[[], Columns]) -> VerificationCheck:
    """Check that the lines give every stored number."""
    return _tried("totals", lambda: _totals(run, columns))


def _totals(run: Run, columns: Callable[[], Columns]) -> VerificationCheck:
    """Score the lines again and compare with done.json. Numbers missing from an older run are not compared."""
    rules, versions = run.meta.rules, {"pq_version": PQ_VERSION, "semantic_version": SEMANTIC_VERSION}
    if rules.get("protocol") not in DEVIATIONS:
        raise DataError(f"{run.folder / 'run.json'}: its protocol is unknown; repeat the run with --overwrite")
    findings = [
        f"{name} is {rules[name]} and this program has {version}: verify it with the commit that run.json names"
        for name, version in versions.items()
        if rules[name] != version
    ]
    if not findings:
        again = totals(columns(), run.categories, rules, run.meta.metrics)
        findings = list(differences(read_json(run.folder / "done.json")["score"], again))
    return VerificationCheck("totals", "every number of done.json, from the lines", tuple(findings))


def differences(stored: Any, computed: Any, name: str = "") -> Iterator[str]:
    """Yield a sentence for every value of `stored` that differs in `computed`."""
    if isinstance(stored, Mapping) and isinstance(computed, Mapping):
        # Only stored keys: a run of an older version lacks the numbers that were added since.
        for key in stored:
            yield from differences(stored[key], computed.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(stored, list) and isinstance(computed, list) and len(stored) == len(computed):
        for position, (one, other) in enumerate(zip(stored, computed, strict=True)):
            label = one.get("name", position) if isinstance(one, Mapping) else position
            yield from differences(one, other, f"{name}[{label}]")
    elif stored != computed:
        yield f"{name}: done.json says {stored}, the lines give {computed}"


def _key(run: Run, lines: Sequence[Line]) -> VerificationCheck:
    """Check the comparability key: the digest of the ground truths in line order, and the rules."""
    order = [str(line["image_id"]) for line in lines]
    findings = differences(run.complete.key, digests_of(lines).comparability_key(order, run.meta.rules))
    return VerificationCheck("key", "comparability key, from the lines and run.json", tuple(findings))


def _predictions(run: Run, lines: Sequence[Line], folder: PredictionFolder | None) -> VerificationCheck:
    """Check that the segments and semantic classes of every saved prediction equal those of its line."""
    if folder is None:
        return VerificationCheck("predictions", "no saved predictions", skipped=True)
    found = {str(line["image_id"]): list(_unlike(line, folder, run.categories)) for line in lines}
    findings = tuple(f"image {image_id!r}: {fault}" for image_id, faults in found.items() for fault in faults)
    alike = sum(not faults for faults in found.values())
    return VerificationCheck("predictions", f"{alike} of {len(found)} images have the segments of their line", findings)


def _unlike(line: Line, folder: PredictionFolder, categories: Categories) -> Iterator[str]:
    """Yield the differences between a saved prediction and its line."""
    try:
        prediction = folder.read(str(line["image_id"]), categories)
    except DataError as error:
        yield str(error)
        return
    if line["overlap"] is not None:
        yield from _other_segments(overlap_of(line).predicted, prediction, categories)
    if line["semantic"] is not None:
        yield from _other_classes(line["semantic"], prediction, categories)


def _other_segments(told: Sequence[PredictedSegment], prediction: Prediction, categories: Categories) -> Iterator[str]:
    # The overlap of a map with itself lists its segments with their areas and scores.
    saved = Overlap.of(prediction.panoptic, prediction.panoptic).predicted
    if len(saved) != len(told):
        yield f"{len(saved)} segments are saved, but the line has {len(told)}"
        return
    names = {category.id: category.name for category in categories}
    for number, (one, other) in enumerate(zip(saved, told, strict=True), 1):
        if not _alike(one, other):
            yield (
                f"segment {number} is saved as {names[one.category_id]}, {one.area} px, score {one.score}, and the "
                f"line has {names.get(other.category_id, other.category_id)}, {other.area} px, score {other.score}"
            )


def _alike(one: PredictedSegment, other: PredictedSegment) -> bool:
    """Compare class and area exactly and scores within a tolerance. Ids are ignored: they may not fit into a PNG."""
    if one.score is None or other.score is None:
        return (one.category_id, one.area, one.score) == (other.category_id, other.area, other.score)
    # Class and area come from the PNG and must be equal.
    close = abs(one.score - other.score) <= SCORE_TOLERANCE
    return close and (one.category_id, one.area) == (other.category_id, other.area)


def _other_classes(rows: Iterable[Sequence[int]], prediction: Prediction, categories: Categories) -> Iterator[str]:
    if prediction.semantic is None:
        yield "its semantic map is not saved"
        return
    told = np.zeros(len(categories) + 1, dtype=np.int64)
    for _, predicted, pixels in rows:
        told[predicted] += pixels
    saved = np.bincount(category_indices(prediction.semantic, categories).ravel(), minlength=len(told))
    names = [*(category.name for category in categories), "void"]
    for k in np.flatnonzero(saved != told):
        yield f"its semantic map has {saved[k]} px of {names[k]} and the line {told[k]}"
