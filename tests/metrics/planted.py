"""Scenes with planted errors: a grid of things on one stuff background, each cell with one fault of a known kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scenes import panoptic

from bench.types import Panoptic, SegmentInfo

CELL, CELLS = 20, 4  # px, cells a side
BACKGROUND = SegmentInfo(70)
THINGS = (1, 2, 3)
Box = tuple[int, int, int, int]  # top, bottom, left, right


@dataclass
class Canvas:
    """Both maps while they are painted, and what every segment must be called if it finds no partner."""

    rng: np.random.Generator
    truth: NDArray[np.int64] = field(default_factory=lambda: np.ones((CELL * CELLS,) * 2, np.int64))
    prediction: NDArray[np.int64] = field(default_factory=lambda: np.ones((CELL * CELLS,) * 2, np.int64))
    truth_infos: dict[int, SegmentInfo] = field(default_factory=lambda: {1: BACKGROUND})
    predicted_infos: dict[int, SegmentInfo] = field(default_factory=lambda: {1: BACKGROUND})
    truth_kind: dict[int, str] = field(default_factory=dict)
    predicted_kind: dict[int, str] = field(default_factory=dict)

    def add_truth(self, box: Box, category_id: int, kind: str) -> None:
        number = len(self.truth_infos) + 1
        self.truth[_slice(box)] = number
        self.truth_infos[number] = SegmentInfo(category_id)
        self.truth_kind[number] = kind

    def add_prediction(self, box: Box, category_id: int, kind: str) -> None:
        number = len(self.predicted_infos) + 1
        self.prediction[_slice(box)] = number
        self.predicted_infos[number] = SegmentInfo(category_id)
        self.predicted_kind[number] = kind

    def box(self, row: int, column: int) -> Box:
        """The middle half of a cell, a pixel more or less at every side."""
        top, left = row * CELL + 5, column * CELL + 5
        a, b, c, d = self.rng.integers(-1, 2, 4).tolist()
        return top + a, top + 10 + b, left + c, left + 10 + d

    def thing(self) -> int:
        return int(self.rng.choice(THINGS))


def _slice(box: Box) -> tuple[slice, slice]:
    top, bottom, left, right = box
    return slice(top, bottom), slice(left, right)


def _found(canvas: Canvas, box: Box, thing: int) -> None:
    top, bottom, left, right = box
    canvas.add_truth(box, thing, "never")
    canvas.add_prediction((top, bottom - 1, left, right), thing, "never")


def _misclassified(canvas: Canvas, box: Box, thing: int) -> None:
    canvas.add_truth(box, thing, "misclassified")
    canvas.add_prediction(box, thing % 3 + 1, "misclassified")


def _split(canvas: Canvas, box: Box, thing: int) -> None:
    top, bottom, left, right = box
    cut = (left + right) // 2 + int(canvas.rng.integers(-1, 2))
    canvas.add_truth(box, thing, "split")
    canvas.add_prediction((top, bottom, left, cut), thing, "split")
    canvas.add_prediction((top, bottom, cut, right), thing, "split")


def _poor(canvas: Canvas, box: Box, thing: int) -> None:
    top, bottom, left, right = box
    shift = int(canvas.rng.choice([5, 6])) * (1 if top < CELL * CELLS // 2 else -1)
    canvas.add_truth(box, thing, "poor mask")
    canvas.add_prediction((top + shift, bottom + shift, left, right), thing, "poor mask")


def _left_void(canvas: Canvas, box: Box, thing: int) -> None:
    canvas.add_truth(box, thing, "left void")
    canvas.prediction[_slice(box)] = 0


def _missed(canvas: Canvas, box: Box, thing: int) -> None:
    canvas.add_truth(box, thing, "missed")


def _spurious(canvas: Canvas, box: Box, thing: int) -> None:
    canvas.add_prediction(box, thing, "spurious")


def merge(canvas: Canvas, row: int, column: int) -> None:
    """Two neighbours of one category taken for one."""
    thing = canvas.thing()
    one, two = canvas.box(row, column), canvas.box(row, column + 1)
    canvas.add_truth(one, thing, "merged")
    canvas.add_truth(two, thing, "merged")
    canvas.add_prediction((min(one[0], two[0]), max(one[1], two[1]), one[2], two[3]), thing, "merged")


FAULTS: tuple[Callable[[Canvas, Box, int], None], ...] = (
    _found, _misclassified, _split, _poor, _left_void, _missed, _spurious,
)  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """Two maps; the kinds are by source id."""

    truth: Panoptic
    prediction: Panoptic
    truth_kind: dict[int, str]
    predicted_kind: dict[int, str]


def planted_scene(rng: np.random.Generator) -> Planted:
    """Sixteen cells; a pixel in a hundred of the prediction says nothing."""
    canvas = Canvas(rng)
    for row in range(CELLS):
        column = 0
        while column < CELLS:
            if column + 1 < CELLS and rng.random() < 0.1:
                merge(canvas, row, column)
                column += 2
                continue
            fault = FAULTS[int(rng.integers(len(FAULTS)))]
            fault(canvas, canvas.box(row, column), canvas.thing())
            column += 1
    canvas.prediction[rng.random(canvas.prediction.shape) < 0.01] = 0
    return Planted(
        panoptic(canvas.truth, canvas.truth_infos), panoptic(canvas.prediction, canvas.predicted_infos),
        canvas.truth_kind, canvas.predicted_kind,
    )  # fmt: skip


def renamed(rng: np.random.Generator, one: Panoptic) -> Panoptic:
    """The same segments under other numbers, listed in another order."""
    order = rng.permutation(len(one.segments_info))
    ids = np.zeros(len(order) + 1, np.int64)
    ids[order + 1] = np.arange(1, len(order) + 1)
    infos: dict[int, Any] = {k + 1: one.segments_info[old] for k, old in enumerate(order.tolist())}
    return panoptic(ids[one.id_map], infos)
