"""Regression gate: compares the metrics of a suite with a stored baseline, within stated tolerances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bench.analysis.suite import Outcome, Suite, Tolerances
from bench.errors import NotComparable, UsageError
from bench.io.config import read_record
from bench.io.files import write_json
from bench.metrics.score import Score
from bench.results.run import Run

# Percentage points: the last bit of a sum may differ between machines; a single pixel moves a metric by a thousand
# times more.
ROUNDING = 1e-9


@dataclass(frozen=True)
class MetricChange:
    """One metric of one run, in percentage points; `baseline` or `current` is None if it is undefined there."""

    run: str
    metric: str
    baseline: float | None
    current: float | None
    tolerance: float

    @property
    def delta(self) -> float | None:
        """current - baseline, or None if either is undefined."""
        return None if self.baseline is None or self.current is None else self.current - self.baseline

    @property
    def passed(self) -> bool:
        # Undefined on both sides is no change; on one side alone, a class appeared or vanished.
        if self.delta is None:
            return self.baseline is None and self.current is None
        return abs(self.delta) <= self.tolerance + ROUNDING


@dataclass(frozen=True)
class GateResult:
    """All metric changes of a suite; `seconds` per run are shown, without a tolerance."""

    checks: tuple[MetricChange, ...]
    seconds: Mapping[str, float]

    @property
    def failed(self) -> tuple[MetricChange, ...]:
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON with every metric, the failed ones first."""
        ordered = sorted(self.checks, key=lambda check: check.passed)
        rows = [{**vars(check), "delta": check.delta, "passed": check.passed} for check in ordered]
        return {"passed": not self.failed, "checks": rows, "seconds": dict(self.seconds)}


@dataclass(frozen=True)
class BaselineEntry:
    """Baseline of one run: its comparability key and its metrics in percentage points, None if undefined."""

    dataset: str
    images: int
    key: Mapping[str, Any]
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class Baseline:
    format: Literal[1]
    runs: Mapping[str, BaselineEntry]


def metrics(score: Score) -> dict[str, float | None]:
    """Return metric → percentage points in a fixed order: the means, then PQ, then IoU of every class."""
    means = {
        f"{name} {group}": value
        for group, row in score.PQ.items()
        for name, value in (("PQ", row.PQ), ("SQ", row.SQ), ("RQ", row.RQ))
    }
    means |= {"mIoU semantic": score.mIoU.semantic, "mIoU panoptic": score.mIoU.panoptic}
    classes = {f"PQ of {row.name}": row.PQ for row in score.per_class}
    classes |= {f"IoU of {row.name}": row.IoU.semantic for row in score.per_class}
    return {name: None if value is None else 100 * value for name, value in (means | classes).items()}


def write_baseline(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the metrics of a suite as the new baseline. If a run failed, its error is raised and nothing is written."""
    entries = {
        outcome.planned.name: BaselineEntry(run.dataset, run.score.images, run.complete.key, metrics(run.score))
        for outcome in outcomes
        for run in [_done(outcome)]
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(Baseline(1, entries)))


def _done(outcome: Outcome) -> Run:
    if outcome.run is None:
        assert outcome.error is not None, "an outcome has a run or an error"
        raise outcome.error
    return outcome.run


def read_baseline(path: Path) -> Mapping[str, BaselineEntry]:
    """Return run → baseline entry. Raises UsageError if the file is missing, DataError if its format is wrong."""
    if not path.is_file():
        raise UsageError(f"{path}: no such baseline; write it by the same command with --update")
    return read_record(path, Baseline, "--update writes a new baseline").runs


def compare_to_baseline(suite: Suite, outcomes: Sequence[Outcome], baseline: Mapping[str, BaselineEntry]) -> GateResult:
    """Compare each metric of each run with the baseline.

    Raises the error of a failed run, and NotComparable if the baseline lacks a run, has an additional one, or was
    measured on different ground truth or by different rules.
    """
    known, wanted = set(baseline), {outcome.planned.name for outcome in outcomes}
    if known != wanted:
        name = sorted(known ^ wanted)[0]
        raise NotComparable(
            f"run {name!r} is only in {'the baseline' if name in known else 'the suite'}; "
            "write a new baseline with --update"
        )
    checks = [check for outcome in outcomes for check in _checks(outcome, suite.tolerances, baseline)]
    return GateResult(tuple(checks), {o.planned.name: seconds(_done(o)) for o in outcomes})


def _checks(outcome: Outcome, tolerances: Tolerances, baseline: Mapping[str, BaselineEntry]) -> Iterator[MetricChange]:
    run, name = _done(outcome), outcome.planned.name
    before, key = baseline[name], run.complete.key
    if changed := sorted(k for k in {**before.key, **key} if before.key.get(k) != key.get(k)):
        raise NotComparable(
            f"{name}: differs from the baseline in {', '.join(changed)}, so that the numbers cannot be compared; "
            "if this is intended, write a new baseline with --update"
        )
    now, was = metrics(run.score), before.metrics
    for metric in [*now, *(m for m in was if m not in now)]:
        # Recorded predictions are scored without a model: any change is one of the evaluator and fails.
        limit = tolerances.per_class if " of " in metric else tolerances.headline
        yield MetricChange(
            name, metric, was.get(metric), now.get(metric), limit if outcome.planned.kind == "model" else 0.0
        )


def seconds(run: Run) -> float:
    """Return the sum of all stage times of all images in seconds; 0 without timings."""
    return sum(sum(line["seconds"].values()) for line in run.timings())
