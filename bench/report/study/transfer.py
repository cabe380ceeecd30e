"""One network on several data sets: in which space each number stands, so that only like is read beside like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.results import Run
from bench.study.outcome import StudyOutcome

MEASURES = {
    "PQ": ("PQ", "all", "PQ"), "SQ": ("PQ", "all", "SQ"), "RQ": ("PQ", "all", "RQ"),
    "mIoU semantic": ("mIoU", "semantic"), "mIoU panoptic": ("mIoU", "panoptic"),
}  # fmt: skip


@dataclass(frozen=True)
class Transfer:
    """Means over the seeds of a training, fractions; None where a data set does not tell."""

    training: str
    dataset: str
    space: str
    classes: int
    images: int
    values: Mapping[str, float | None]


def transfers(outcome: StudyOutcome) -> list[Transfer]:
    """Of every training that was scored beyond the study's own data set, each data set."""
    beyond = {run.training: run.dataset for run in outcome.study.runs}
    wanted = [run for run in outcome.study.all_runs() if run.training in beyond]
    found = [(run, [one.runs[run.dataset] for one in outcome.seeds_of(run.training, run.dataset)]) for run in wanted]
    scored = [(run, runs) for run, runs in found if runs]
    most = max((len(runs[0].categories) for _, runs in scored), default=0)
    return [
        Transfer(
            run.training, run.dataset, _space(runs[0], most), len(runs[0].categories), int(runs[0].score["images"]),
            {name: _mean(runs, path) for name, path in MEASURES.items()},
        )
        for run, runs in sorted(scored, key=lambda one: -len(one[1][0].categories))
    ]  # fmt: skip


def _space(run: Run, most: int) -> str:
    return "full" if len(run.categories) == most else "reduced"


def _mean(runs: list[Run], path: tuple[str, ...]) -> float | None:
    values = []
    for run in runs:
        value = run.score
        for key in path:
            value = value[key]
        values.append(value)
    known = [float(value) for value in values if isinstance(value, int | float)]
    return sum(known) / len(known) if len(known) == len(values) else None
