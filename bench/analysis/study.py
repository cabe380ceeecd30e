"""Specification of a study (`configs/suites/*.yaml` with `trainings`), and its outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import BenchError, UsageError, first_duplicate
from bench.io.config import ConfigName, Settings, did_you_mean, load_yaml, read_yaml
from bench.results.run import Run

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Training:
    """A recipe with changed values (`set`, as --set), trained once for each of `seeds`.

    `quick` holds values for a quick look. `recipe` is the name of a shipped recipe, or a file relative to the study's.
    """

    name: str
    recipe: ConfigName
    set: Settings = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    quick: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Trainings and their runs are folders of this name.
        if not NAME.fullmatch(self.name):
            raise UsageError(f"training {self.name[:80]!r}: write letters, digits, '_', '-' and '.', a letter first")
        if not self.seeds:
            raise UsageError(f"training {self.name!r}: needs at least one seed")
        _once(f"training {self.name!r}: seed", self.seeds)
        if "seed" in self.set:
            raise UsageError(f"training {self.name!r}: `set` names a seed; write it in `seeds`")


@dataclass(frozen=True)
class ExtraDataset:
    """A training scored on an additional data set; `label_map` as --label-map."""

    training: str
    dataset: ConfigName
    limit: int | None = None
    label_map: ConfigName | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"run of {self.training!r}: `limit` must be at least 1, not {self.limit}")


@dataclass(frozen=True)
class Contrast:
    """Trainings to compare; the first arm is the reference of all others."""

    name: str
    arms: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.arms) < 2:
            raise UsageError(f"contrast {self.name!r}: needs at least two arms")
        _once(f"contrast {self.name!r}: arm", self.arms)


@dataclass(frozen=True)
class Quick:
    """Changes made by `--quick`: recipe values (a training's own take precedence), and the number of images scored."""

    limit: int
    set: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise UsageError(f"quick: `limit` must be at least 1, not {self.limit}")


@dataclass(frozen=True)
class Study:
    """configs/suites/*.yaml with `trainings`.

    Each training is scored on `dataset`, which the contrasts refer to; `runs` lists additional data sets. `notes` are
    paragraphs of the page.
    """

    title: str
    dataset: ConfigName
    trainings: tuple[Training, ...]
    contrasts: tuple[Contrast, ...] = ()
    runs: tuple[ExtraDataset, ...] = ()
    limit: int | None = None
    quick: Quick | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.trainings:
            raise UsageError("a study needs at least one training")
        names = [training.name for training in self.trainings]
        _once("training", names)
        _once("contrast", [contrast.name for contrast in self.contrasts])
        _once("run", [f"{run.training} on {run.dataset}" for run in self.all_runs()])
        for where, name in self._named():
            if name not in names:
                raise UsageError(f"{where}: there is no training {name!r}; {did_you_mean(name, names)}")

    def _named(self) -> list[tuple[str, str]]:
        in_contrasts = [(f"contrast {c.name!r}", arm) for c in self.contrasts for arm in c.arms]
        return [*in_contrasts, *((f"run on {run.dataset}", run.training) for run in self.runs)]

    def all_runs(self) -> list[ExtraDataset]:
        """Return every training on the study's data set, then the additional runs."""
        return [*(ExtraDataset(training.name, self.dataset, self.limit) for training in self.trainings), *self.runs]


def is_study(path: Path) -> bool:
    return "trainings" in read_yaml(path)


def load_study(path: Path, quick: bool = False) -> Study:
    """Read a study, or its quick version. Raises UsageError if a key or a value is wrong."""
    if not is_study(path):
        raise UsageError(f"{path}: is a suite without trainings, and --quick is for studies; leave it out")
    study = load_yaml(path, Study)
    if not quick:
        return study
    if study.quick is None:
        raise UsageError(f"{path}: has no block `quick`; leave --quick out")
    return quick_version(study, study.quick)


def quick_version(study: Study, quick: Quick) -> Study:
    """Return the study with few training steps on few images, for a smoke test."""
    # Later ones win: the values of a training for quick looks, its own, then those for all quick looks.
    trainings = tuple(replace(t, set={**quick.set, **t.set, **t.quick}) for t in study.trainings)
    runs = tuple(replace(run, limit=min(run.limit or quick.limit, quick.limit)) for run in study.runs)
    limit = min(study.limit or quick.limit, quick.limit)
    return replace(study, trainings=trainings, runs=runs, limit=limit)


def _once(what: str, names: Sequence[object]) -> None:
    if (twice := first_duplicate(names)) is not None:
        raise UsageError(f"{what} {twice!r} occurs twice; names must differ")


@dataclass(frozen=True, eq=False)
class TrainedSeed:
    """One trained seed: its folder, and its finished runs by data set name as written in the study."""

    training: str
    seed: int
    folder: Path
    runs: Mapping[str, Run]
    errors: tuple[BenchError, ...] = ()


@dataclass(frozen=True, eq=False)
class StudyOutcome:
    study: Study
    folder: Path
    quick: bool
    trained: tuple[TrainedSeed, ...]

    def errors(self) -> list[BenchError]:
        return [error for one in self.trained for error in one.errors]

    def seeds_of(self, training: str, dataset: str = "") -> list[TrainedSeed]:
        """Return the seeds of a training scored on a data set (the study's own if "")."""
        wanted = dataset or self.study.dataset
        return [one for one in self.trained if one.training == training and wanted in one.runs]

    def scored(self) -> list[Training]:
        """Return the trainings with at least one seed scored on the study's data set, in the study's order."""
        return [training for training in self.study.trainings if self.seeds_of(training.name)]
