"""Clean data sets of two images of 6×8 pixels, to plant faults in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    {"id": 2, "name": "car", "isthing": 1, "color": [0, 0, 142]},
    {"id": 3, "name": "road", "isthing": 0, "color": [128, 64, 128]},
    {"id": 4, "name": "sky", "isthing": 0, "color": [70, 130, 180]},
]
CLASS_OF = {10: 4, 20: 3, 300: 1, 301: 1, 66000: 2}
IDS = np.array(
    [
        [10, 10, 10, 10, 10, 10, 10, 10],
        [10, 10, 10, 10, 10, 10, 10, 0],
        [0, 300, 300, 0, 66000, 66000, 66000, 0],
        [0, 300, 300, 0, 66000, 66000, 66000, 301],
        [20, 20, 20, 20, 20, 20, 20, 20],
        [20, 20, 20, 20, 20, 20, 20, 20],
    ]
)
YAML = """\
title: tiny
layout: coco
labels: from-file
splits: [val]
default_split: val
semantic_rule: detectron2
roots: {}
files: {val: {json: [truth.json], panoptic: [png], images: [pictures]}}
tree: ""
obtain: ""
"""
LABELS = np.array(
    [
        [23, 23, 23, 23, 23, 23, 23, 23],
        [23, 23, 23, 23, 23, 23, 23, 4],
        [4, 24000, 24000, 4, 26000, 26000, 26000, 4],
        [4, 24000, 24000, 4, 26000, 26000, 26000, 24001],
        [7, 7, 7, 7, 7, 7, 7, 7],
        [7, 7, 7, 7, 7, 7, 7, 7],
    ]
)


@dataclass(frozen=True)
class Planted:
    """What a fault should be called, and where."""

    fault: str
    image_id: str | None = None
    pixels: int | None = None


@dataclass
class CocoTree:
    """`data` is the JSON; `save` writes it."""

    root: Path
    data: Any

    @property
    def yaml(self) -> Path:
        return self.root / "tiny.yaml"

    def annotation(self, image_id: str = "b") -> Any:
        return next(entry for entry in self.data["annotations"] if entry["image_id"] == image_id)

    def segment(self, number: int, image_id: str = "b") -> Any:
        return next(entry for entry in self.annotation(image_id)["segments_info"] if entry["id"] == number)

    def png(self, image_id: str = "b") -> Path:
        return self.root / "png" / f"{image_id}.png"

    def picture(self, image_id: str = "b") -> Path:
        return self.root / "pictures" / f"{image_id}.jpg"

    def draw(self, ids: NDArray[Any], image_id: str = "b") -> None:
        write_ids(self.png(image_id), ids)

    def save(self) -> None:
        (self.root / "truth.json").write_text(json.dumps(self.data))


def write_ids(path: Path, ids: NDArray[Any]) -> None:
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    PilImage.fromarray(rgb).save(path)


def coco_tree(root: Path) -> CocoTree:
    (root / "png").mkdir(parents=True)
    (root / "pictures").mkdir()
    numbers, areas = np.unique(IDS, return_counts=True)
    infos = [
        {"id": number, "category_id": CLASS_OF[number], "iscrowd": 0, "area": area}
        for number, area in zip(numbers.tolist(), areas.tolist(), strict=True)
        if number
    ]
    data = {
        "categories": CATEGORIES,
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 6, "width": 8} for i in "ab"],
        "annotations": [{"image_id": i, "file_name": f"{i}.png", "segments_info": infos} for i in "ab"],
    }
    tree = CocoTree(root, json.loads(json.dumps(data)))
    for image_id in "ab":
        tree.draw(IDS, image_id)
        PilImage.new("RGB", (8, 6), (90, 90, 90)).save(tree.picture(image_id))
    tree.yaml.write_text(YAML)
    tree.save()
    return tree


@dataclass(frozen=True)
class CityTree:
    root: Path

    def label(self, image_id: str = "bonn_000001_000019") -> Path:
        return self.root / "gtFine" / "val" / "bonn" / f"{image_id}_gtFine_instanceIds.png"

    def picture(self, image_id: str = "bonn_000001_000019") -> Path:
        return self.root / "leftImg8bit" / "val" / "bonn" / f"{image_id}_leftImg8bit.png"

    def draw(self, labels: NDArray[Any]) -> None:
        PilImage.fromarray(labels.astype(np.uint16)).save(self.label())


def city_tree(root: Path) -> CityTree:
    tree = CityTree(root)
    for image_id in ("bonn_000000_000019", "bonn_000001_000019"):
        for path in (tree.label(image_id), tree.picture(image_id)):
            path.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(LABELS.astype(np.uint16)).save(tree.label(image_id))
        PilImage.new("RGB", (8, 6), (90, 90, 90)).save(tree.picture(image_id))
    return tree
