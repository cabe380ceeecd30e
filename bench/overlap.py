"""What two panoptic maps of one image have in common: the small table that every metric is a function of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.errors import DataError
from bench.types import Panoptic, SegmentInfo

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

    def to_json(self) -> dict[str, Any]:
        """Rows of plain numbers, fields in their order; `from_json` gives back an equal overlap."""
        return {
            "truth": [[*segment[:-1], int(segment.iscrowd)] for segment in self.truth],
            "predicted": [list(segment) for segment in self.predicted],
            "pairs": [list(pair) for pair in self.pairs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Overlap:
        """The inverse of `to_json`."""
        try:
            return cls(
                tuple(_truth_of_row(*row) for row in data["truth"]),
                tuple(PredictedSegment(*row) for row in data["predicted"]),
                tuple(Pair(*row) for row in data["pairs"]),
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"not a stored overlap ({error!r}); score the predictions again") from error


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
