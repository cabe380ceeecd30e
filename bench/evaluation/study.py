"""Running a study: train, evaluate, continue. Finished parts are read, and an error does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.study import Study, StudyOutcome, TrainedSeed, Training
from bench.analysis.suite import Suite, SuiteRun
from bench.errors import BenchError
from bench.evaluation.suite import ProgressFactory, run_suite
from bench.results.run import Run
from bench.results.shards import WHOLE, Shard

Train = Callable[[Training, int, str, Path], str]  # training, seed, its recipe, folder → name of the model's family


@dataclass(frozen=True, eq=False)
class StudyOptions:
    """Options of a study; all results go below `out`.

    With several processes, each runs the trainings of its `shard`.
    """

    out: Path
    device: str = "auto"
    command: Sequence[str] = ()
    overwrite: bool = False
    shard: Shard = WHOLE


def run_study(study: Study, quick: bool, place: StudyOptions, train: Train, watch: ProgressFactory) -> StudyOutcome:
    """Run every training with every seed, and evaluate each as soon as it is finished.

    `train` writes the weights to a folder, reusing a finished training and resuming an interrupted one;
    `place.overwrite` repeats only the evaluation. `quick` moves all results to `out`/quick.
    """
    if quick:
        place = replace(place, out=place.out / "quick")
    asked = [(training, seed) for training in study.trainings for seed in training.seeds]
    found = [_one(study, training, seed, place, train, watch) for training, seed in place.shard.of(asked)]
    return StudyOutcome(study, place.out, quick, tuple(found))


def _one(
    study: Study, training: Training, seed: int, place: StudyOptions, train: Train, watch: ProgressFactory
) -> TrainedSeed:
    folder = place.out / "trainings" / training.name / f"seed-{seed}"
    try:
        family = train(training, seed, training.recipe, folder)
    except BenchError as error:
        # The same class, so that the exit code stays.
        said = type(error)(f"training {training.name}, seed {seed}: {error}")
        return TrainedSeed(training.name, seed, folder, {}, (said,))
    planned = tuple(
        SuiteRun(
            name=f"{training.name} seed {seed} on {run.dataset}", dataset=run.dataset, model=family,
            checkpoint=str(folder), limit=run.limit, label_map=run.label_map,
        )
        for run in study.all_runs()
        if run.training == training.name
    )  # fmt: skip
    outcomes = run_suite(
        Suite(study.title, planned), place.out, watch, command=place.command, overwrite=place.overwrite,
        device=place.device,
    )  # fmt: skip
    runs: dict[str, Run] = {outcome.planned.dataset: outcome.run for outcome in outcomes if outcome.run is not None}
    return TrainedSeed(training.name, seed, folder, runs, tuple(o.error for o in outcomes if o.error is not None))
