"""A plain list of runs in YAML, and running it: what is finished is read, what fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench import launch, scoring
from bench.config import load_yaml
from bench.datasets.dataset import Dataset, load_dataset
from bench.errors import BenchError, UsageError
from bench.evaluate import OnImage
from bench.metrics.pq import Protocol
from bench.models import Precision, resolve_model
from bench.results import Run


@dataclass(frozen=True)
class SuiteRun:
    """One line of a suite: a `model`, or a folder of `predictions`, on a data set.

    Files (`predictions`, a model's or data set's YAML) are relative to the suite's own.
    `set` overrides keys of the model's YAML, as --set does. `name` is how the run is called in a baseline;
    it must be unique in its suite.
    """

    name: str
    dataset: str
    model: str | None = None
    predictions: str | None = None
    checkpoint: str | None = None
    limit: int | None = None
    precision: Precision = "fp32"
    batch_size: int = 1
    protocol: Protocol = "coco"
    label_map: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.model is None) == (self.predictions is None):
            raise UsageError(f"run {self.name!r}: needs either `model` or `predictions`")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"run {self.name!r}: `limit` must be at least 1, not {self.limit}")

    @property
    def kind(self) -> Literal["model", "predictions"]:
        return "model" if self.predictions is None else "predictions"


@dataclass(frozen=True)
class Tolerances:
    """By how many points (percent) a metric of a live model may move either way; recorded predictions: not at all.

    `headline` is for means over classes, `per_class` for one class, where a single segment weighs more.
    """

    headline: float = 0.1
    per_class: float = 2.0


@dataclass(frozen=True)
class Suite:
    """configs/suites/*.yaml."""

    title: str
    runs: tuple[SuiteRun, ...]
    tolerances: Tolerances = Tolerances()

    def __post_init__(self) -> None:
        names = [run.name for run in self.runs]
        if not names:
            raise UsageError("a suite needs at least one run")
        if twice := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"two runs are called {twice[0]!r}; names must differ")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a line of the suite: its run, or why there is none."""

    planned: SuiteRun
    run: Run | None
    error: BenchError | None = None


Watch = Callable[[SuiteRun], OnImage]


def load_suite(path: Path) -> Suite:
    """The suite in a file; UsageError where a key or a value is wrong."""
    return load_yaml(path, Suite)


def run_suite(suite: Suite, where: Path, out: Path, watch: Watch, *, command: Sequence[str] = (), again: bool = False,
              device: str = "auto") -> list[Outcome]:  # fmt: skip
    """Every run of the suite, in its order, below `out`; `where` is the folder of the suite's file.

    A run that fails leaves its error and the next one starts. Interrupted and repeated, finished runs are read.
    """
    outcomes = []
    for planned in suite.runs:
        try:
            run = _one(planned, where, out, watch(planned), command, again, device)
            outcomes.append(Outcome(planned, run))
        except BenchError as error:
            outcomes.append(Outcome(planned, None, error))
    return outcomes


def _one(planned: SuiteRun, where: Path, out: Path, on_image: OnImage, command: Sequence[str], again: bool,
         device: str) -> Run:  # fmt: skip
    data = load_dataset(near(where, planned.dataset)).limited(planned.limit)
    if planned.predictions is not None:
        return scoring.score(
            where / planned.predictions, data, out, name=planned.name, protocol=planned.protocol,
            save_predictions=False, again=again, command=command, on_image=on_image,
        )  # fmt: skip
    return _live(planned, where, data, out, on_image, command, again, device)


def _live(planned: SuiteRun, where: Path, data: Dataset, out: Path, on_image: OnImage, command: Sequence[str],
          again: bool, device: str) -> Run:  # fmt: skip
    spec = resolve_model(
        near(where, planned.model or ""), data.name, base=data.base, checkpoint=planned.checkpoint,
        precision=planned.precision, overrides=planned.set,
    )  # fmt: skip
    return launch.run(
        spec, data, out, device=device, batch_size=planned.batch_size, again=again, label_map=planned.label_map,
        protocol=planned.protocol, save_predictions=False, command=command, on_image=on_image,
    )  # fmt: skip


def near(where: Path, name: str) -> str:
    """A name as it is; a file beside the suite's."""
    return str(where / name) if name.endswith((".yaml", ".yml")) else name
