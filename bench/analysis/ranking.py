"""Ranking of runs, with one board for each ground truth and set of rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.run_scan import scan_run
from bench.fusion.presets import PRESETS
from bench.io.canonical_json import digest
from bench.metrics.bootstrap import MEANS, PQ_PARTS, estimates, mean_pq, point_estimates, rank_ranges, resample
from bench.metrics.image_statistics import ImageSums
from bench.metrics.score import HEADLINE
from bench.results.records import ModelRecord, PredictionsRecord, PublishedRecord
from bench.results.run import KINDS, Run
from bench.results.timing import NEEDS, read_timing

if TYPE_CHECKING:
    import pandas as pd

DIRTY = "*"
AT = MEANS.index("PQ")
# The default of `breakdown.intervals`, so that `bench show --intervals` prints the same interval.
REPLICATES = 10_000
# Fields of a row that `bench run --timing` measures.
MEASURED = (
    "latency_p50", "latency_p95", "latency_p99", "latency_n", "images_per_second", "peak_bytes", "process_peak_bytes",
    "device_peak_bytes", "joules_per_image", "hardware",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One run of a board. Qualities are fractions, None if undefined; runs of equal PQ share a `rank`.

    `rank_low` and `rank_high` are the bounds of the rank in 95 % of the bootstrap replicates over images, None if there
    is no other run. `PQ_low` and `PQ_high` are the ends of the 95 % interval of PQ from the same replicates. `checked`
    is "verified" or "not verified", and `checked_note` the reason for the latter. All of these are None unless ranges
    are computed. `kind` is "model", or "predictions" for predictions made elsewhere, which have no checkpoint,
    input size or fusion. `latency_*` are seconds per image on `hardware`, None if unmeasured or of too few images;
    `images_per_second` is at the batch size of the run. `published_PQ` is the PQ that the authors report for the
    checkpoint on this data set.
    """

    rank: int | None
    rank_low: int | None
    rank_high: int | None
    name: str
    kind: str
    method: str | None
    checkpoint: str | None
    PQ: float | None
    PQ_low: float | None
    PQ_high: float | None
    SQ: float | None
    RQ: float | None
    PQ_things: float | None
    PQ_stuff: float | None
    mIoU_semantic: float | None
    mIoU_panoptic: float | None
    published_PQ: float | None
    published_source: str | None
    parameters: int | None
    multiply_adds: int | None
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    latency_n: int | None
    images_per_second: float | None
    peak_bytes: int | None
    process_peak_bytes: int | None
    device_peak_bytes: int | None
    joules_per_image: float | None
    hardware: str | None
    device: str | None
    precision: str | None
    input: str | None
    fusion: str | None
    checked: str | None
    checked_note: str | None
    date: str
    commit: str | None
    run: str


@dataclass(frozen=True)
class Board:
    """Ranking of the runs that share a comparability key; `key` is its first 8 hex digits."""

    dataset: str
    images: int
    protocol: str
    key: str
    rows: tuple[Row, ...]


def leaderboard(runs: Sequence[Run], dataset: str | None = None, ranges: bool = True) -> list[Board]:
    """Return one board for each comparability key, sorted by data set, then number of images (largest first).

    Models with settings changed by --set or a sweep have boards of their own: the best of several tries on the same
    images does not stand beside models as they are.

    `dataset` is `minicity:val` or `minicity`. `ranges` computes rank ranges and intervals and verifies the runs, which
    needs the image lines of all runs.
    """
    boards = [_board(key, group, ranges) for (key, _), group in ranked_together(runs, dataset).items()]
    return sorted(boards, key=lambda board: (board.dataset, -board.images, board.key))


def ranked_together(runs: Iterable[Run], dataset: str | None = None) -> dict[tuple[str, bool], list[Run]]:
    """Return (comparability key, whether settings were changed) → the complete runs that may stand on one board.

    `dataset` as in `leaderboard`.
    """
    groups: dict[tuple[str, bool], list[Run]] = {}
    for run in runs:
        if run.done is not None and dataset in (None, run.dataset, run.meta.dataset.name):
            groups.setdefault((comparability_key(run), _has_changed(run)), []).append(run)
    return groups


def _has_changed(run: Run) -> bool:
    return isinstance(run.meta.model, ModelRecord) and bool(run.meta.model.changed)


def comparability_key(run: Run) -> str:
    """Return the sha256 of the ground truth and rules of a complete run; runs with equal keys are comparable."""
    return digest(run.complete.key)


def _board(key: str, runs: Sequence[Run], ranges: bool) -> Board:
    """Return a board of runs with the same key, named after the alphabetically first of their data set names."""
    score = runs[0].score
    found = _scanned(runs) if ranges else {}
    rows = _ranked({**row_of(run), **UNSEEN, **found.get(run.folder, {})} for run in runs)
    title = min(run.dataset for run in runs) + (", settings changed" if _has_changed(runs[0]) else "")
    return Board(title, score.images, score.protocol, key[:8], rows)


UNSEEN: Mapping[str, Any] = dict.fromkeys(("rank_low", "rank_high", "PQ_low", "PQ_high", "checked", "checked_note"))


def _scanned(runs: Sequence[Run]) -> dict[Path, dict[str, Any]]:
    """Return run folder → the fields of its row that need image lines. Reads the lines of each run once."""
    scans = [scan_run(run) for run in runs]
    found = _resampled({scan.folder: scan.sums for scan in scans})
    for scan in scans:
        checked = {"checked": "not verified" if scan.unverified else "verified", "checked_note": scan.unverified}
        found[scan.folder] = {**found.get(scan.folder, {}), **checked}
    return found


def _resampled(sums: Mapping[Path, ImageSums]) -> dict[Path, dict[str, Any]]:
    """Return PQ intervals and rank ranges of the runs with the largest set of images. Ranks need two runs."""
    # Runs of one board may have lost some of their lines; joint resampling needs the same images in all.
    largest = max((one.image_ids for one in sums.values()), key=len)
    held = {folder: one for folder, one in sums.items() if one.image_ids == largest}
    if not largest:
        return {}
    pq = np.concatenate(resample(list(held.values()), replicates=REPLICATES, of=mean_pq, needs=PQ_PARTS))
    spans = rank_ranges(pq) if len(held) > 1 else [None]
    intervals = estimates(np.array([point_estimates(one)[AT] for one in held.values()]), pq)
    found = {}
    for folder, interval, ranks in zip(held, intervals, spans, strict=True):
        low, high = ranks or (None, None)
        found[folder] = {"rank_low": low, "rank_high": high, "PQ_low": interval.low, "PQ_high": interval.high}
    return found


def _ranked(rows: Iterable[dict[str, Any]]) -> tuple[Row, ...]:
    """Return rows by falling PQ, undefined last."""
    # Equal PQ is sorted by name, so that the order of reading, which file systems choose, does not change the board.
    ordered = sorted(rows, key=lambda row: (-_or(row["PQ"], -1.0), row["name"], row["checkpoint"] or "", row["run"]))
    # Runs of equal PQ share the best of their places.
    first: dict[float, int] = {}
    for place, row in enumerate(ordered, 1):
        if row["PQ"] is not None:
            first.setdefault(row["PQ"], place)
    return tuple(Row(rank=first.get(_or(row["PQ"], -1.0)), **row) for row in ordered)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def row_of(run: Run) -> dict[str, Any]:
    """Return the fields of a row except its rank and those of `ranges`."""
    score, meta = run.score, run.meta
    git = meta.provenance.git if meta.provenance else None
    return {
        "name": run.name,
        **_model(run),
        **{name.replace(" ", "_"): of(score) for name, of in HEADLINE.items()},
        "parameters": meta.parameters,
        "multiply_adds": meta.multiply_adds,
        **_timing(run),
        "device": meta.device,
        "date": run.complete.finished[:10],
        "commit": f"{git.commit[:7]}{DIRTY if git.dirty else ''}" if git else None,
        "run": run.folder.name,
    }


def to_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a pandas frame, a row a run in the given order; fractions, NaN if undefined.

    Columns: those of `bench leaderboard --format csv` without ranks and intervals, and pixel_accuracy_semantic and
    pixel_accuracy_panoptic.
    """
    import pandas as pd  # imported here, since it takes half a second

    rows = [
        {
            "dataset": run.dataset, "images": run.score.images, "protocol": run.score.protocol, **row_of(run),
            **{f"pixel_accuracy_{kind}": getattr(run.score.pixel_accuracy, kind, None) for kind in KINDS},
        }
        for run in runs
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    counts = ("parameters", "multiply_adds", "latency_n", "peak_bytes", "process_peak_bytes", "device_peak_bytes")
    others = ("PQ", "SQ", "RQ", "mIoU", "pixel", "latency_p", "images_per", "joules_per")
    numbers = [name for name in frame if str(name).startswith(others)]
    return frame.astype({**dict.fromkeys(numbers, "float"), **dict.fromkeys(counts, "Int64")})


def _timing(run: Run) -> dict[str, Any]:
    """Return what `bench run --timing` measured, None if it was not measured."""
    # Not from the stage times of the run itself: its stages overlap in threads.
    found = read_timing(run.folder)
    if found is None:
        return dict.fromkeys(MEASURED)
    batches = found.throughput
    values = (
        *(found.percentile(at) for at in NEEDS), found.n, batches and batches.images_per_second, found.peak_bytes,
        found.process_peak_bytes, found.device_peak_bytes, batches and batches.joules_per_image, found.hardware,
    )  # fmt: skip
    return dict(zip(MEASURED, values, strict=True))


def _model(run: Run) -> dict[str, Any]:
    model = run.meta.model
    if isinstance(model, PredictionsRecord):
        names = ("method", "checkpoint", "published_PQ", "published_source", "precision", "input", "fusion")
        return {"kind": "predictions", **dict.fromkeys(names)}
    published = model.published
    # A number that was published for another data set, or for clean pictures, is not comparable.
    data = run.meta.dataset
    if published is None or published.dataset != data.name or data.corruption is not None:
        published = PublishedRecord("", None, None)
    return {
        "kind": "model",
        "method": model.method,
        "checkpoint": model.checkpoint,
        "published_PQ": published.PQ,
        "published_source": published.source,
        "precision": model.precision,
        "input": f"{model.input.shorter}×{model.input.longer}" if model.input.longer else "–",
        "fusion": _fusion(model.fusion),
    }


def _fusion(fusion: Mapping[str, Any]) -> str:
    rule = str(fusion["rule"])
    preset = PRESETS.get(rule)
    # Only what a user changed is shown beside the name of a preset; JSON has lists where the preset has tuples.
    changed = [
        f"{name}={value}"
        for name, value in fusion.items()
        if name != "rule" and preset is not None and _plain(getattr(preset, name, None)) != _plain(value)
    ]
    return f"{rule} ({', '.join(changed)})" if changed else rule


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
