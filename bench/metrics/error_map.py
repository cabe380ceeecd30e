"""Per-pixel error codes of a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from bench.metrics.matching import Matches
from bench.types import Panoptic


class Error(IntEnum):
    """Error code of a pixel. A segment is found, or predicted correctly, if it is part of a true positive."""

    CORRECT = 0  # in both segments of a true positive
    WRONG_CLASS = 1  # two classes, and both segments are matched elsewhere or neither is
    WRONG_SEGMENT = 2  # the same of one class: merged, split, or an IoU of 0.5 or less
    MISSED = 3  # no prediction, or a segment that was not found below one that is right elsewhere
    SPURIOUS = 4  # a false positive over what was found elsewhere, or over a crowd
    IGNORED = 5  # void, and crowd regions without a false positive


def error_map(truth: Panoptic, prediction: Panoptic, matches: Matches) -> NDArray[np.uint8]:
    """Return (H, W) uint8 codes (`Error`) of two maps of equal size and their matches."""
    return pair_codes(truth, prediction, matches)[truth.id_map, prediction.id_map]


def pair_codes(truth: Panoptic, prediction: Panoptic, matches: Matches) -> NDArray[np.uint8]:
    """Return the `Error` code of each pair of dense ids: (n + 1, m + 1) uint8. Later rules override earlier ones."""
    lost = _marked(len(truth.segments_info), matches.fn)[:, None]
    false = _marked(len(prediction.segments_info), matches.fp)[None, :]
    crowd = np.array([False, *(s.iscrowd for s in truth.segments_info)])[:, None]
    same = _classes(truth)[:, None] == _classes(prediction)[None, :]
    table = np.where(same, Error.WRONG_SEGMENT, Error.WRONG_CLASS).astype(np.uint8)
    table[lost & ~false] = Error.MISSED
    table[~lost & false] = Error.SPURIOUS
    # Column 0 is void of the prediction, row 0 void of the truth.
    table[:, 0] = Error.MISSED
    table[crowd & ~false] = Error.IGNORED
    table[0, :] = Error.IGNORED
    # Last, since a true positive overrides every other rule.
    for i, j, _ in matches.tp:
        table[i, j] = Error.CORRECT
    return table


def _marked(count: int, dense_ids: Sequence[int]) -> NDArray[np.bool_]:
    flags = np.zeros(count + 1, dtype=bool)
    flags[[i for i in dense_ids if i <= count]] = True  # those above it have no pixels
    return flags


def _classes(panoptic: Panoptic) -> NDArray[np.int64]:
    """Return the category id of each dense id: (n + 1,), -1 for void."""
    return np.array([-1, *(s.category_id for s in panoptic.segments_info)], dtype=np.int64)
