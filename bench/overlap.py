"""What two panoptic maps of one image have in common: the small table that every metric is a function of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.errors import DataError
from bench.types import Panoptic, SegmentInfo

MOST = 1 << 53  # a stored number is less
SCORE_DECIMALS = 6  # a stored score; enough to rank by, short enough to store


class TruthSegment(NamedTuple):
    """`area` is counted, `declared_area` what the JSON says of it (pixels)."""

    source_id: int | None
    category_id: int
    area: int
    declared_area: int | None
    iscrowd: bool


class PredictedSegment(NamedTuple):
    """`area` is counted (pixels); `score` is rounded to 6 decimals."""

    source_id: int | None
    category_id: int
    area: int
    score: float | None


class Pair(NamedTuple):
    """Pixels that truth segment `truth` and predicted segment `predicted` share; dense ids, 0 is void."""

    truth: int
    predicted: int
    pixels: int


@dataclass(frozen=True)
class Overlap:
    """Segment i of a map is entry i - 1 of its tuple; `pairs` are sorted, cover every pixel, void included.

    Equal by value, however it was made. PQ at any threshold, panoptic IoU, sizes and kinds of error
    need nothing else.
    """

    truth: tuple[TruthSegment, ...]
    predicted: tuple[PredictedSegment, ...]
    pairs: tuple[Pair, ...]

    @property
    def void_pixels(self) -> dict[int, int]:
        """Predicted dense id → its pixels on void of the truth, where there are some."""
        return {pair.predicted: pair.pixels for pair in self.pairs if pair.truth == 0}

    @property
    def image_px(self) -> int:
        """Pixels of the image: every one is in a pair."""
        return sum(pair.pixels for pair in self.pairs)

    @classmethod
    def of(cls, truth: Panoptic, prediction: Panoptic) -> Overlap:
        """Counts the pixels of every pair of segments of two maps of equal size."""
        if truth.size != prediction.size:
            raise DataError(
                f"the truth is {_hw(truth)} px but the prediction is {_hw(prediction)} px (height x width): "
                "resize the prediction to the size of the original image"
            )
        return cls(
            tuple(map(_truth, truth.segments_info, truth.areas.tolist())),
            tuple(map(_predicted, prediction.segments_info, prediction.areas.tolist())),
            _pairs(truth, prediction),
        )

    @classmethod
    def of_pairs(
        cls, truth: Sequence[SegmentInfo], predicted: Sequence[SegmentInfo], pairs: Sequence[tuple[int, int, int]]
    ) -> Overlap | None:
        """From segments in dense order and all their pairs, sorted; None where a segment has no pixel."""
        areas = [0] * (len(truth) + 1), [0] * (len(predicted) + 1)
        for i, j, pixels in pairs:
            areas[0][i] += pixels
            areas[1][j] += pixels
        if 0 in areas[0][1:] or 0 in areas[1][1:]:
            return None
        return cls(
            tuple(map(_truth, truth, areas[0][1:])),
            tuple(map(_predicted, predicted, areas[1][1:])),
            tuple(map(Pair._make, pairs)),
        )

    def to_json(self) -> dict[str, Any]:
        """Rows of plain numbers, fields in their order; `from_json` gives back an equal overlap."""
        return {
            "truth": [[*segment[:-1], int(segment.iscrowd)] for segment in self.truth],
            "predicted": [list(segment) for segment in self.predicted],
            "pairs": [list(pair) for pair in self.pairs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Overlap:
        """The inverse of `to_json`; what cannot be an overlap is a DataError."""
        try:
            found = cls(
                tuple(_truth_of_row(*row) for row in data["truth"]),
                tuple(PredictedSegment(*row) for row in data["predicted"]),
                tuple(Pair(*row) for row in data["pairs"]),
            )
            fault = found._fault()
        except (KeyError, TypeError) as error:
            fault = repr(error)[:100]
        if fault:
            raise DataError(f"not a stored overlap ({fault}); score the predictions again")
        return found

    def _fault(self) -> str:
        """Why the numbers, which came from a file, fit no two maps; "" where they do."""
        numbers = [
            *(n for s in self.truth for n in (s.category_id, s.area, s.declared_area or 0)),
            *(n for s in self.predicted for n in (s.category_id, s.area)),
            *(n for pair in self.pairs for n in pair),
        ]
        if not (set(map(type, numbers)) <= {int} and min(numbers, default=0) >= 0 and max(numbers, default=0) < MOST):
            return "a number is no count and no id"
        sources = [s.source_id for s in self.truth] + [s.source_id for s in self.predicted]
        if not all(source is None or type(source) is int for source in sources):
            return "a source id is no number"
        if not all(s.score is None or (type(s.score) in (int, float) and abs(s.score) < MOST) for s in self.predicted):
            return "a score is no number"
        if not all(pair.truth <= len(self.truth) and pair.predicted <= len(self.predicted) for pair in self.pairs):
            return "a pair of segments that are not listed"
        if not all(segment.declared_area is None or segment.declared_area > 0 for segment in self.truth):
            return "a declared area of nothing"
        if len({(pair.truth, pair.predicted) for pair in self.pairs}) < len(self.pairs):
            return "a pair is there twice"
        return "" if self._areas_add_up() else "the pixels of the pairs are not the areas of the segments"

    def _areas_add_up(self) -> bool:
        truth, predicted = [0] * (len(self.truth) + 1), [0] * (len(self.predicted) + 1)
        for pair in self.pairs:
            truth[pair.truth] += pair.pixels
            predicted[pair.predicted] += pair.pixels
        areas = [s.area for s in self.truth], [s.area for s in self.predicted]
        return (truth[1:], predicted[1:]) == areas and 0 not in (*areas[0], *areas[1])


def _hw(panoptic: Panoptic) -> str:
    height, width = panoptic.size
    return f"{height} x {width}"


def _truth(info: SegmentInfo, area: int) -> TruthSegment:
    return TruthSegment(info.source_id, info.category_id, area, info.declared_area, info.iscrowd)


def _truth_of_row(
    source_id: int | None, category_id: int, area: int, declared_area: int | None, iscrowd: int
) -> TruthSegment:
    return TruthSegment(source_id, category_id, area, declared_area, bool(iscrowd))


def _predicted(info: SegmentInfo, area: int) -> PredictedSegment:
    score = None if info.score is None else round(float(info.score), SCORE_DECIMALS)
    return PredictedSegment(info.source_id, info.category_id, area, score)


def _pairs(truth: Panoptic, prediction: Panoptic) -> tuple[Pair, ...]:
    columns = len(prediction.segments_info) + 1
    cells = (len(truth.segments_info) + 1) * columns
    joint = (truth.id_map.astype(np.int64) * columns + prediction.id_map).ravel()  # (H * W,)
    if cells <= joint.size:
        counts = np.bincount(joint, minlength=cells)
        keys = np.flatnonzero(counts)
        pixels = counts[keys]
    else:  # more segments than the table is worth: two maps of noise would ask for gigabytes
        keys, pixels = np.unique(joint, return_counts=True)
    rows = zip((keys // columns).tolist(), (keys % columns).tolist(), pixels.tolist(), strict=True)
    return tuple(Pair(*row) for row in rows)
