"""Overlap of two panoptic maps of one image: segments and shared pixels, the input of PQ and related metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench._native import optional
from bench.errors import DataError, px_text
from bench.types import IdMap, Panoptic, SegmentInfo

_kernel = optional("bench._native._maps", "pairs")

# Above 2^53 a double, as which many JSON readers read every number, no longer holds each integer.
MOST = 1 << 53
# Six decimals rank the segments of an image and keep its line short.
SCORE_DECIMALS = 6

Table = NDArray[np.int64]


class TruthSegment(NamedTuple):
    """Ground-truth segment. `area` (pixels) is counted, `declared_area` is that of the JSON, None if it has none.

    Segments that the JSON lists and no pixel has come last, with area 0.
    """

    source_id: int | None
    category_id: int
    area: int
    declared_area: float | None
    iscrowd: bool


class PredictedSegment(NamedTuple):
    """Predicted segment. `area` (pixels) is counted; `score` is rounded to 6 decimals."""

    source_id: int | None
    category_id: int
    area: int
    score: float | None


class Pair(NamedTuple):
    """Pixels shared by truth segment `truth` and predicted segment `predicted`; dense ids, 0 is void."""

    truth: int
    predicted: int
    pixels: int


@dataclass(frozen=True, eq=False)
class Overlap:
    """Segments of two panoptic maps and the table of pixels that they share.

    Segment i of a map is entry i - 1 of its tuple. `table` is (n, 3) int64 and sorted: truth id, predicted id (dense, 0
    is void) and shared pixels. It covers every pixel, void included. Overlaps compare by value.
    """

    truth: tuple[TruthSegment, ...]
    predicted: tuple[PredictedSegment, ...]
    table: Table

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Overlap):
            return NotImplemented
        segments = (self.truth, self.predicted) == (other.truth, other.predicted)
        return segments and np.array_equal(self.table, other.table)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle segments as plain tuples: workers return one overlap per image."""
        return _again, (tuple(map(tuple, self.truth)), tuple(map(tuple, self.predicted)), self.table)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(map(Pair._make, self.table.tolist()))

    @cached_property
    def void_pixels(self) -> NDArray[np.int64]:
        """Pixels of each predicted segment on ground-truth void: (P + 1,), indexed by dense id."""
        return self.predicted_pixels(self.table[:, 0] == 0)

    def predicted_pixels(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the pixels of each predicted segment in the selected table rows: (P + 1,), indexed by dense id."""
        return _sums(self.table[rows, 1], self.table[rows, 2], len(self.predicted))

    @property
    def image_px(self) -> int:
        return int(self.table[:, 2].sum())

    @classmethod
    def of(cls, truth: Panoptic, prediction: Panoptic) -> Overlap:
        """Count the shared pixels of two maps. Raise DataError if their sizes differ."""
        if truth.size != prediction.size:
            raise DataError(
                f"the truth is {px_text(truth.size)} px but the prediction is {px_text(prediction.size)} px "
                "(height x width): "
                "resize the prediction to the size of the original image"
            )
        listed = truth.segments_info + truth.absent
        return cls.of_table(listed, prediction.segments_info, _table(truth, prediction))

    @classmethod
    def of_table(cls, truth: Sequence[SegmentInfo], predicted: Sequence[SegmentInfo], table: Table) -> Overlap:
        """Build from segments in dense-id order and the complete table, from which areas are computed."""
        t, p = _areas(table, len(truth), len(predicted))
        return cls(tuple(map(_truth, truth, t[1:].tolist())), tuple(map(_predicted, predicted, p[1:].tolist())), table)

    def to_json(self) -> dict[str, Any]:
        """Return rows of plain numbers in field order; `from_json` is the inverse."""
        return {**self.segments_to_json(), "pairs": self.table.tolist()}

    def segments_to_json(self) -> dict[str, Any]:
        return {
            "truth": [[*segment[:-1], int(segment.iscrowd)] for segment in self.truth],
            "predicted": [list(segment) for segment in self.predicted],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Overlap:
        """Build from the output of `to_json`. Raise DataError if it is not a valid overlap."""
        try:
            found = cls(
                tuple(_truth_of_row(*row) for row in data["truth"]),
                tuple(PredictedSegment(*row) for row in data["predicted"]),
                _stored_table(data["pairs"]),
            )
            fault = found._fault()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            fault = repr(error)[:100]
        if fault:
            raise DataError(f"not a stored overlap ({fault}); score the predictions again")
        return found

    def _fault(self) -> str:
        """Return why stored numbers cannot be the overlap of two maps, or "" if they can."""
        numbers = [
            *(n for s in self.truth for n in (s.category_id, s.area)),
            *(n for s in self.predicted for n in (s.category_id, s.area)),
        ]
        if not all(type(n) is int and 0 <= n < MOST for n in numbers) or not _are_counts(self.table):
            return "a number is neither a count nor an id"
        sources = [s.source_id for s in self.truth] + [s.source_id for s in self.predicted]
        if not all(source is None or type(source) is int for source in sources):
            return "a source id is not a number"
        if not all(s.score is None or (type(s.score) in (int, float) and abs(s.score) < MOST) for s in self.predicted):
            return "a score is not a number"
        if (self.table[:, :2] > (len(self.truth), len(self.predicted))).any():
            return "a pair of segments that are not listed"
        declared = [(s.declared_area, s.area) for s in self.truth if s.declared_area is not None]
        # 0 is the area of a segment of the truth that no pixel has.
        if not all(type(area) in (int, float) and 0 <= area < MOST and (area or not px) for area, px in declared):
            return "a declared area is not positive"
        # A pair that is listed twice would count as two matches of one segment.
        keys = self.table[:, 0] * (len(self.predicted) + 1) + self.table[:, 1]
        if len(np.unique(keys)) < len(keys):
            return "a pair is listed twice"
        return "" if self._areas_add_up() else "the pixels of the pairs are not the areas of the segments"

    def _areas_add_up(self) -> bool:
        t, p = (areas[1:].tolist() for areas in _areas(self.table, len(self.truth), len(self.predicted)))
        listed = [s.area for s in self.truth], [s.area for s in self.predicted]
        return (t, p) == listed and 0 not in p


def _again(truth: Sequence[Sequence[Any]], predicted: Sequence[Sequence[Any]], table: Table) -> Overlap:
    return Overlap(tuple(map(TruthSegment._make, truth)), tuple(map(PredictedSegment._make, predicted)), table)


def _areas(table: Table, truth: int, predicted: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _sums(table[:, 0], table[:, 2], truth), _sums(table[:, 1], table[:, 2], predicted)


def _sums(ids: NDArray[np.int64], pixels: NDArray[np.int64], largest: int) -> NDArray[np.int64]:
    """Return the pixels of each id: (largest + 1,)."""
    # Weighted bincount adds doubles, which are exact here: an image has fewer than 2^53 pixels.
    return np.bincount(ids, pixels, largest + 1).astype(np.int64)


def _stored_table(rows: Any) -> Table:
    """Return rows of three integers as a table. Raise ValueError for anything else."""
    if any(len(row) != 3 for row in rows) or not set(map(type, chain.from_iterable(rows))) <= {int}:
        raise ValueError("a pair is not three whole numbers")
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _are_counts(table: Table) -> bool:
    return bool((table >= 0).all()) and table.sum(dtype=np.float64) < MOST


def _truth(info: SegmentInfo, area: int) -> TruthSegment:
    return TruthSegment(info.source_id, info.category_id, area, info.declared_area, info.iscrowd)


def _truth_of_row(
    source_id: int | None, category_id: int, area: int, declared_area: float | None, iscrowd: int
) -> TruthSegment:
    return TruthSegment(source_id, category_id, area, declared_area, bool(iscrowd))


def _predicted(info: SegmentInfo, area: int) -> PredictedSegment:
    score = None if info.score is None else round(float(info.score), SCORE_DECIMALS)
    return PredictedSegment(info.source_id, info.category_id, area, score)


def _table(truth: Panoptic, prediction: Panoptic) -> Table:
    sizes = len(truth.segments_info), len(prediction.segments_info)
    if _kernel is not None:
        found = _kernel(np.ascontiguousarray(truth.id_map), np.ascontiguousarray(prediction.id_map), *sizes)
        if found is not None:
            return np.frombuffer(found, dtype=np.int64).reshape(-1, 3)
    return _table_by_numpy(truth.id_map, prediction.id_map, sizes)


def _table_by_numpy(truth: IdMap, prediction: IdMap, sizes: tuple[int, int]) -> Table:
    columns, cells = sizes[1] + 1, (sizes[0] + 1) * (sizes[1] + 1)
    joint = (truth.astype(np.int64) * columns + prediction).ravel()  # (H * W,)
    if cells <= joint.size:
        counts = np.bincount(joint, minlength=cells)
        keys = np.flatnonzero(counts)
        pixels = counts[keys]
    else:
        # With very many segments the table of all pairs is larger than the image: gigabytes for two maps of noise.
        keys, pixels = np.unique(joint, return_counts=True)
    return np.stack([keys // columns, keys % columns, pixels], axis=1)
