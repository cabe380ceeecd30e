"""Cityscapes' own label coding, read without conversion.

`*_instanceIds.png` (16 bit): a thing instance is labelId * 1000 + n with n from 0; stuff, and groups of
things whose instances were not told apart, are the bare labelId. Source: cityscapesScripts,
preparation/json2instanceImg.py and createPanopticImgs.py (groups are iscrowd, ignored labels void).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.spaces import LabelSpace
from bench.types import Panoptic, SegmentInfo

MAX_ID = 1 << 16


def panoptic_of(instance_ids: NDArray[np.integer], space: LabelSpace) -> Panoptic:
    """(H, W) instanceIds as a Panoptic in `space`; a value of no known label is a DataError."""
    low, high = (int(instance_ids.min()), int(instance_ids.max())) if instance_ids.size else (0, 0)
    if low < 0 or high >= MAX_ID:
        raise DataError(f"instanceIds hold {low}..{high}; 16 bits were expected")
    counts = np.bincount(instance_ids.ravel(), minlength=high + 1)
    table = np.zeros(high + 1, dtype=np.int32)
    segments: list[SegmentInfo] = []
    for value in np.flatnonzero(counts).tolist():
        info = _segment(value, space, int(counts[value]))
        if info is not None:
            segments.append(info)
            table[value] = len(segments)
    return Panoptic(table[instance_ids], tuple(segments))


def _segment(value: int, space: LabelSpace, pixels: int) -> SegmentInfo | None:
    """What one value of an instanceIds map stands for; None is void."""
    label = value if value < 1000 else value // 1000
    if label in space.void_ids:
        return None
    index = space.scored.index_of.get(label)
    if index is None:
        raise DataError(f"value {value} ({pixels} pixels) belongs to no label of this space")
    isthing = space.scored.items[index].isthing
    if value >= 1000 and not isthing:
        raise DataError(f"value {value} ({pixels} pixels) numbers an instance of a stuff class")
    return SegmentInfo(label, iscrowd=isthing and value < 1000, source_id=value)
