"""Writer of the COCO panoptic format: PNG of segment ids and annotation of one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.io.images import write_png
from bench.io.segments_info import ID_LIMIT
from bench.overlap import SCORE_DECIMALS
from bench.types import Categories, Panoptic, SegmentInfo


def write_panoptic(path: Path, panoptic: Panoptic) -> dict[str, Any]:
    """Write the PNG and return its annotation (`file_name`, `segments_info`), still without `image_id`.

    Segments keep their source ids if these are unique and in 1..2^24 - 1. Otherwise they are numbered from 1.
    """
    segments = panoptic.segments_info + panoptic.absent
    ids = _png_ids(segments)
    colors = np.array([0, *ids], dtype="<u4").view(np.uint8).reshape(-1, 4)[:, :3]  # R, G, B of each segment
    write_png(path, np.take(colors, panoptic.id_map, axis=0))
    gone = len(panoptic.absent)
    areas, boxes = [*panoptic.areas.tolist(), *[0] * gone], [*_boxes(panoptic.id_map), *[[0, 0, 0, 0]] * gone]
    rows = zip(ids, segments, areas, boxes, strict=True)
    return {"file_name": path.name, "segments_info": [_segment(*row) for row in rows]}


def coco_categories(categories: Categories) -> list[dict[str, Any]]:
    """Return the categories as COCO lists them, with `isthing` 0 or 1."""
    return [{**row, "isthing": int(row["isthing"])} for row in categories.to_json()]


def _png_ids(segments: Sequence[SegmentInfo]) -> list[int]:
    sources = [info.source_id for info in segments]
    # 0 is void in a panoptic PNG, and DETR numbers its segments from 0.
    numbers = [source for source in sources if source is not None and 0 < source < ID_LIMIT]
    return numbers if len(set(numbers)) == len(sources) else list(range(1, len(sources) + 1))


def _segment(number: int, info: SegmentInfo, area: int, bbox: list[int]) -> dict[str, Any]:
    score = {} if info.score is None else {"score": round(float(info.score), SCORE_DECIMALS)}
    return {
        "id": number, "category_id": info.category_id, "iscrowd": int(info.iscrowd),
        "area": area if info.declared_area is None else info.declared_area, "bbox": bbox, **score,
    }  # fmt: skip


def _boxes(id_map: NDArray[np.int32]) -> Iterator[list[int]]:
    """Yield [x, y, width, height] of each segment."""
    # From the runs of the rows, which are far fewer than the pixels.
    if id_map.size == 0:
        return
    width = id_map.shape[1]
    flat = id_map.ravel()
    cut = flat[1:] != flat[:-1]
    # A run ends with its row, so that first and last column of a run are those of the segment there.
    cut[width - 1 :: width] = True
    starts = np.concatenate(([0], np.flatnonzero(cut) + 1))
    lasts = np.append(starts[1:], flat.size) - 1
    segments = int(id_map.max()) + 1
    low = np.full((2, segments), flat.size)
    high = np.zeros((2, segments), dtype=np.int64)
    for axis, (first, last) in enumerate(((starts % width, lasts % width), (starts // width, lasts // width))):
        np.minimum.at(low[axis], flat[starts], first)
        np.maximum.at(high[axis], flat[starts], last)
    for left, top, right, bottom in np.concatenate([low, high]).T[1:].tolist():
        yield [left, top, right - left + 1, bottom - top + 1]
