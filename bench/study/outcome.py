"""What became of a study's trainings, a seed at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.results import Run
from bench.study.plan import Study, Training


@dataclass(frozen=True, eq=False)
class Trained:
    """One seed of a training: its folder, and its finished runs by the name of the data set as the study has it."""

    training: str
    seed: int
    folder: Path
    runs: Mapping[str, Run]
    errors: tuple[BenchError, ...] = ()


@dataclass(frozen=True, eq=False)
class StudyOutcome:
    """`quick` says that it was a quick look; everything lies below `folder`."""

    study: Study
    folder: Path
    quick: bool
    trained: tuple[Trained, ...]

    def errors(self) -> list[BenchError]:
        return [error for one in self.trained for error in one.errors]

    def seeds_of(self, training: str, dataset: str = "") -> list[Trained]:
        """Those seeds of a training that were scored on a data set, the study's own where none is named."""
        wanted = dataset or self.study.dataset
        return [one for one in self.trained if one.training == training and wanted in one.runs]

    def scored(self) -> list[Training]:
        """The trainings of which a seed was scored on the study's data set, in its order."""
        return [training for training in self.study.trainings if self.seeds_of(training.name)]
