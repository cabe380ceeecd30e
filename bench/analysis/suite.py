"""Specification of a suite (`configs/suites/*.yaml`), and its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.errors import BenchError, UsageError, first_duplicate
from bench.io.config import ConfigName, FilePath, NameOrPath, Settings, load_yaml
from bench.metrics.matching import Protocol
from bench.results.run import Run
from bench.types import Precision


@dataclass(frozen=True)
class SuiteRun:
    """One entry of a suite: a `model` or a folder of `predictions`, scored on a data set.

    Paths (`predictions`, YAML files of models or data sets) are relative to the suite file. `set` overrides keys of the
    model's YAML, as --set does. `name` identifies the run in a baseline and must be unique in its suite.
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
    """Allowed change of a model's metrics in either direction, in percentage points; 0 for recorded predictions.

    `headline` applies to means over classes, `per_class` to single classes, where one segment weighs more.
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
        if (twice := first_duplicate(names)) is not None:
            raise UsageError(f"two runs are called {twice!r}; names must differ")


@dataclass(frozen=True, eq=False)
class Outcome:
    planned: SuiteRun
    run: Run | None
    error: BenchError | None = None


def load_suite(path: Path) -> Suite:
    """Read a suite. Raises UsageError if a key or a value is wrong."""
    return load_yaml(path, Suite)
