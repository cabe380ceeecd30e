"""Two runs on the same ground truth, by the same rules: what the second gains over the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import NotComparable
from bench.results import Run, read_run

QUALITIES = ("PQ", "SQ", "RQ")
KINDS = ("semantic", "panoptic")


@dataclass(frozen=True)
class Paired:
    """One number of both runs, None where undefined."""

    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        """b - a."""
        return None if self.a is None or self.b is None else self.b - self.a

    def to_json(self) -> dict[str, float | None]:
        return {"a": self.a, "b": self.b, "difference": self.difference}


@dataclass(frozen=True)
class Comparison:
    """Fractions in 0..1. `total` has PQ, SQ, RQ and both kinds of mIoU; `per_class` the same of each class by its
    name, mIoU being its IoU."""

    run_a: Path
    run_b: Path
    total: Mapping[str, Paired]
    per_class: Mapping[str, Mapping[str, Paired]]

    def to_json(self) -> dict[str, Any]:
        """The numbers of `total` at the top, null where undefined."""
        return {
            "a": str(self.run_a),
            "b": str(self.run_b),
            **_plain(self.total),
            "per_class": [{"name": name, **_plain(row)} for name, row in self.per_class.items()],
        }


def _plain(row: Mapping[str, Paired]) -> dict[str, Any]:
    return {name: pair.to_json() for name, pair in row.items()}


def compare(run_a: Run | Path | str, run_b: Run | Path | str) -> Comparison:
    """The totals of two complete runs, side by side; NotComparable (naming why) unless they share a key.

    >>> from bench.datasets.dataset import load_dataset
    >>> from bench.launch import run
    >>> data = load_dataset("minicity:demo")
    >>> one, other = (run("./mine.yaml", data.limited(images), "results") for images in (1, 2))
    >>> compare(one, one.folder).per_class["road"]["PQ"].difference
    0.0
    >>> compare(one, other)
    Traceback (most recent call last):
        ...
    bench.errors.NotComparable: results/... and results/... differ in truth; compare runs of one leaderboard
    """
    a, b = (run if isinstance(run, Run) else read_run(Path(run)) for run in (run_a, run_b))
    _check_key(a, b)
    rows = zip(a.score["per_class"], b.score["per_class"], strict=True)
    per_class = {one["name"]: _paired(one, other, "IoU") for one, other in rows}
    return Comparison(a.folder, b.folder, _paired(_totals(a), _totals(b), "mIoU"), per_class)


def _totals(run: Run) -> dict[str, Any]:
    return {**run.score["PQ"]["all"], "mIoU": run.score["mIoU"]}


def _paired(one: Mapping[str, Any], other: Mapping[str, Any], iou: str) -> dict[str, Paired]:
    found = {name: Paired(one[name], other[name]) for name in QUALITIES}
    return found | {f"mIoU {kind}": Paired(one[iou][kind], other[iou][kind]) for kind in KINDS}


def _check_key(a: Run, b: Run) -> None:
    """Ground truth as scored and rules must be the same."""
    one, other = _key(a), _key(b)
    unlike = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    if unlike:
        raise NotComparable(f"{a.folder} and {b.folder} differ in {', '.join(unlike)}; compare runs of one leaderboard")


def _key(run: Run) -> Mapping[str, Any]:
    key: Mapping[str, Any] = run.complete["key"]
    return key
