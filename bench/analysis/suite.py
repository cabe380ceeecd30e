"""Specification of a suite (`configs/suites/*.yaml`), and its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from bench.datasets.corruptions import STRENGTHS, Corruption, parse_corruption
from bench.errors import BenchError, UsageError, first_duplicate
from bench.io.config import ConfigName, FilePath, NameOrPath, Settings, load_yaml
from bench.metrics.matching import Protocol
from bench.results.run import Run
from bench.types import Precision


@dataclass(frozen=True)
class SuiteRun:
    """One entry of a suite: a `model` or a folder of `predictions`, scored on a data set.

    Paths (`predictions`, YAML files of models or data sets) are relative to the suite file. `set` overrides keys of the
    model's YAML, as --set does. `corrupt` changes the pictures, as --corrupt does. `timing` also measures latency.
    `name` identifies the run in a baseline and must be unique in its suite.
    """

    name: str
    dataset: ConfigName
    model: ConfigName | None = None
    predictions: FilePath | None = None
    checkpoint: NameOrPath | None = None
    limit: int | None = None
    precision: Precision = "fp32"
    batch_size: int = 1
    protocol: Protocol = "coco"
    label_map: ConfigName | None = None
    set: Settings = field(default_factory=dict)
    corrupt: str | None = None
    timing: bool = False

    def __post_init__(self) -> None:
        if (self.model is None) == (self.predictions is None):
            raise UsageError(f"run {self.name!r}: needs either `model` or `predictions`")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"run {self.name!r}: `limit` must be at least 1, not {self.limit}")
        if self.predictions is not None and (self.corrupt or self.set or self.timing):
            raise UsageError(
                f"run {self.name!r}: `corrupt`, `set` and `timing` need a `model`; predictions are as stored"
            )
        if self.corrupt is not None:
            parse_corruption(self.corrupt)

    @property
    def kind(self) -> Literal["model", "predictions"]:
        return "model" if self.predictions is None else "predictions"


@dataclass(frozen=True)
class Tolerances:
    """Allowed change of a model's metrics in either direction, in percentage points; 0 for recorded predictions.

    `headline` applies to means over classes, `per_class` to single classes, where one segment weighs more.
    """

    headline: float = 0.1
    per_class: float = 2.0


@dataclass(frozen=True)
class Suite:
    """configs/suites/*.yaml.

    `corruptions` repeat each run on corrupted pictures, at each of the `strengths` (1 to 5). `sweep` repeats each run
    with every combination of the listed values of its model's keys, as --set does. Both also run it as it is.
    """

    title: str
    runs: tuple[SuiteRun, ...]
    tolerances: Tolerances = Tolerances()
    corruptions: tuple[str, ...] = ()
    strengths: tuple[int, ...] = (1, 3, 5)
    sweep: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.runs:
            raise UsageError("a suite needs at least one run")
        if (twice := first_duplicate([run.name for run in self.runs])) is not None:
            raise UsageError(f"two runs are called {twice!r}; names must differ")
        if self.corruptions and self.sweep:
            raise UsageError("a suite has either `corruptions` or `sweep`; write two suites")
        self._check_variants()

    def _check_variants(self) -> None:
        lists = {"corruptions": self.corruptions, "strengths": self.strengths, **self.sweep}
        for key, values in lists.items():
            if (twice := first_duplicate(list(map(str, values)))) is not None:
                raise UsageError(f"{key}: {twice} occurs twice; values must differ")
            if not values and key != "corruptions":
                raise UsageError(f"{key}: has no value; list at least one")
        for name, strength in product(self.corruptions, self.strengths):
            Corruption(name, strength)
        for run in self.runs if self.corruptions or self.sweep else ():
            if run.predictions is not None:
                raise UsageError(f"run {run.name!r}: predictions are as stored; corruptions and sweeps need a `model`")
            if self.corruptions and run.corrupt:
                raise UsageError(f"run {run.name!r}: `corrupt` is set by the suite's `corruptions`; leave it out")
            if both := [key for key in self.sweep if key in run.set]:
                raise UsageError(f"run {run.name!r}: `set` and `sweep` both name {both[0]}; leave one out")

    def variants(self) -> list[Variant]:
        """Return how each run is repeated, the run as it is first."""
        corrupted = [Variant(corruption=Corruption(n, s)) for n in self.corruptions for s in self.strengths]
        combined = product(*self.sweep.values()) if self.sweep else ()
        return [Variant(), *corrupted, *(Variant(dict(zip(self.sweep, values, strict=True))) for values in combined)]

    def planned(self) -> list[SuiteRun]:
        """Return all runs: for each run of the YAML, its variants in their order."""
        return [variant.of(run) for run in self.runs for variant in self.variants()]

    def on(self, models: Sequence[str], dataset: str | None, limit: int | None) -> Suite:
        """Return the suite with other models, another data set or number of images; without them as it is."""
        runs = self.runs
        if models:
            first = replace(runs[0], predictions=None, checkpoint=None, label_map=None, set={})
            runs = tuple(replace(first, name=_model_name(model), model=model) for model in models)
        if dataset is not None:
            runs = tuple(replace(run, dataset=dataset) for run in runs)
        return replace(self, runs=runs if limit is None else tuple(replace(run, limit=limit) for run in runs))

    def at(self, strengths: str | None) -> Suite:
        """Return the suite with other strengths of its corruptions, written as `1,3,5`."""
        if strengths is None:
            return self
        if not self.corruptions:
            raise UsageError("--strengths: the suite has no `corruptions`; leave it out")
        parts = [part.strip() for part in strengths.split(",")]
        if not all(part in map(str, STRENGTHS) for part in parts):
            raise UsageError(f"--strengths {strengths[:80]}: write numbers from 1 to 5 with commas, e.g. 1,3,5")
        return replace(self, strengths=tuple(map(int, parts)))


@dataclass(frozen=True)
class Variant:
    """One repetition of a run: with changed settings of its model, or on corrupted pictures; or the run as it is."""

    set: Mapping[str, Any] = field(default_factory=dict)
    corruption: Corruption | None = None

    def __str__(self) -> str:
        differs = [f"{key}={_file_name(value)}" for key, value in self.set.items()]
        return " ".join(differs) if self.corruption is None else str(self.corruption)

    def of(self, run: SuiteRun) -> SuiteRun:
        """Return the run, named by what differs."""
        if not str(self):
            return run
        changed = {**run.set, **self.set}
        corrupt = run.corrupt if self.corruption is None else str(self.corruption)
        return replace(run, name=f"{run.name} {self}", set=changed, corrupt=corrupt)


def _model_name(model: str) -> str:
    return Path(model).stem if model.endswith((".yaml", ".yml")) else _file_name(model)


def _file_name(value: object) -> str:
    # Runs are folders of their name.
    return str(value).replace("/", "-").strip(".")


@dataclass(frozen=True, eq=False)
class Outcome:
    planned: SuiteRun
    run: Run | None
    error: BenchError | None = None


def load_suite(path: Path) -> Suite:
    """Read a suite. Raises UsageError if a key or a value is wrong."""
    return load_yaml(path, Suite)
