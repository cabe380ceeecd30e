"""Running a suite: a list of runs in YAML. Finished runs are read, and an error does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.analysis.suite import Outcome, Suite, SuiteRun
from bench.datasets.registry import load_dataset
from bench.errors import BenchError
from bench.evaluation.run import run
from bench.evaluation.score import score
from bench.evaluation.timing import time_run
from bench.models.resolve import resolve_model
from bench.results.run import Run
from bench.results.timing import read_timing
from bench.types import ProgressCallback

ProgressFactory = Callable[[SuiteRun], ProgressCallback]


def run_suite(suite: Suite, out: Path, watch: ProgressFactory, *, command: Sequence[str] = (),
              overwrite: bool = False, device: str = "auto") -> list[Outcome]:  # fmt: skip
    """Run the suite in order, with results below `out`.

    A failed run is returned as an outcome with its error. Finished runs are read.
    """
    outcomes = []
    for planned in suite.planned():
        try:
            outcomes.append(Outcome(planned, _one(planned, out, watch(planned), command, overwrite, device)))
        # The other runs are still worth computing; the command raises the first error after all of them.
        except BenchError as error:
            outcomes.append(Outcome(planned, None, error))
    return outcomes


def _one(planned: SuiteRun, out: Path, on_image: ProgressCallback, command: Sequence[str], overwrite: bool,
         device: str) -> Run:  # fmt: skip
    data = load_dataset(planned.dataset).limited(planned.limit).corrupted(planned.corrupt)
    if planned.predictions is not None:
        return score(
            planned.predictions, data, out, name=planned.name, protocol=planned.protocol,
            keep_predictions="none", overwrite=overwrite, command=command, on_image=on_image,
        )  # fmt: skip
    spec = resolve_model(
        planned.model or "", data.name, base=data.base, checkpoint=planned.checkpoint,
        precision=planned.precision, overrides=planned.set,
    )  # fmt: skip
    # Runs of one model with different settings share its name, and need different ones.
    name = planned.name.replace("/", "-") if planned.set else None
    done = run(
        spec, data, out, name=name, device=device, batch_size=planned.batch_size, overwrite=overwrite,
        label_map=planned.label_map, protocol=planned.protocol, save_predictions=False, command=command,
        on_image=on_image,
    )  # fmt: skip
    if planned.timing and (overwrite or read_timing(done.folder) is None):
        time_run(spec, data, done.folder, device=done.meta.device or device)
    return done
