"""What the fixtures of the command line's tests give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@dataclass(frozen=True)
class Place:
    """A folder of its own for a test, with a Cityscapes tree, a user's model and room for results."""

    folder: Path
    images: tuple[str, ...]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def model(self) -> Path:
        return self.folder / "mine.yaml"

    @property
    def out(self) -> Path:
        return self.folder / "results"

    @property
    def run(self) -> Path:
        """The folder of the only run of the model."""
        (found,) = self.out.glob("cityscapes-val/mine/*")
        return found

    def arguments(self, *more: object) -> list[object]:
        return ["run", "--model", self.model, "--dataset", "cityscapes", "--data-root", self.data, "--out", self.out,
                *more]  # fmt: skip
