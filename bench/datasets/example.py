"""An example data set of three small pictures in COCO panoptic format, as a start for a user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.io.coco_writer import write_panoptic
from bench.io.files import write_json
from bench.io.images import write_png
from bench.types import Panoptic, SegmentInfo

# Ids need neither be contiguous nor begin at 1, and 0 is allowed.
CLASSES = [{"id": 0, "name": "wall", "isthing": 0}, {"id": 7, "name": "crack", "isthing": 1}]
NAMES = ("a", "b", "c")


def write_example(root: Path) -> None:
    """Write images/, gt/ and gt.json: 64 x 96 px, a dark wall with two brighter cracks."""
    (root / "gt").mkdir(parents=True)
    (root / "images").mkdir()
    annotations = []
    for shift, name in enumerate(NAMES):
        ids = np.ones((64, 96), np.int32)
        ids[10 + shift : 30, 10:30], ids[40:60, 50 : 80 + shift] = 2, 3
        write_png(root / f"images/{name}.png", np.repeat(ids[..., None] * 60, 3, axis=2).astype(np.uint8))
        panoptic = Panoptic(ids, (SegmentInfo(0), SegmentInfo(7), SegmentInfo(7)))
        annotations.append({**write_panoptic(root / f"gt/{name}.png", panoptic), "image_id": name})
    images = [{"id": name, "file_name": f"{name}.png", "height": 64, "width": 96} for name in NAMES]
    write_json(root / "gt.json", {"images": images, "annotations": annotations, "categories": CLASSES})
