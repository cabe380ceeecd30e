"""One drawn prediction of a Cityscapes tree, written in every form that frameworks dump."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.types import Categories

VOID_LABEL = 255


@dataclass(frozen=True)
class Drawn:
    """(H, W) category ids, -1 void, and (H, W) instance numbers, from 1 for things and 0 for stuff."""

    category: NDArray[np.int64]
    instance: NDArray[np.int64]

    def segments(self) -> list[tuple[int, int]]:
        """(category id, instance) of each segment, in the order of both."""
        pairs = np.unique(np.stack([self.category.ravel(), self.instance.ravel()]), axis=1)
        return [(c, k) for c, k in pairs.T.tolist() if c >= 0]

    def numbered(self) -> NDArray[np.int32]:
        """(H, W) segment ids from 1, in the order of `segments`; 0 is void."""
        ids = np.zeros(self.category.shape, dtype=np.int32)
        for number, (c, k) in enumerate(self.segments(), 1):
            ids[(self.category == c) & (self.instance == k)] = number
        return ids


def draw(instance_ids: NDArray[Any], space: Categories, rng: np.random.Generator) -> Drawn:
    """A prediction that is mostly the truth: moved by a pixel, a part of it void, a part of another class."""
    moved = np.roll(instance_ids.astype(np.int64), int(rng.integers(-1, 2)), axis=1)
    category = np.where(moved < 1000, moved, moved // 1000)
    category[~np.isin(category, space.ids)] = -1
    category[:, -3:] = -1
    category[5:7, 10:13] = int(rng.choice(space.ids))
    isthing = np.isin(category, [c.id for c in space if c.isthing])
    # mmdetection counts the instances of an image, whatever their class
    number = {value: k for k, value in enumerate(np.unique(np.where(moved < 1000, category, moved)[isthing]), 1)}
    of = np.vectorize(lambda value: number.get(value, 0), otypes=[np.int64])
    return Drawn(category, np.where(isthing, of(np.where(moved < 1000, category, moved)), 0))


def index_of(space: Categories, category: int) -> int:
    return space.index_of[category]


def entries(drawn: Drawn, space: Categories) -> list[dict[str, Any]]:
    """detectron2's segments_info of a model with contiguous classes."""
    return [
        {"id": n, "isthing": space.items[index_of(space, c)].isthing, "category_id": index_of(space, c), "score": 0.5}
        for n, (c, _) in enumerate(drawn.segments(), 1)
    ]


def rgb(ids: NDArray[Any]) -> NDArray[np.uint8]:
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536 % 256], axis=-1).astype(np.uint8)


def coco(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    annotations = []
    for image_id, drawn in all_drawn.items():
        Image.fromarray(rgb(drawn.numbered())).save(folder / f"{image_id}.png")
        infos = [{"id": n, "category_id": c} for n, (c, _) in enumerate(drawn.segments(), 1)]
        annotations.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": infos})
    (folder / "whatever.json").write_text(json.dumps({"annotations": annotations}), encoding="utf-8")


def detectron2_npz(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    for image_id, drawn in all_drawn.items():
        infos = np.array(entries(drawn, space), dtype=object)
        np.savez(folder / f"{image_id}_leftImg8bit.npz", panoptic_seg=drawn.numbered(), segments_info=infos)


def detectron2_pair(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    """The pair (panoptic_seg, segments_info), pickled into an npy."""
    for image_id, drawn in all_drawn.items():
        pair = np.empty(2, dtype=object)
        pair[0], pair[1] = drawn.numbered(), entries(drawn, space)
        np.save(folder / f"{image_id}.npy", pair, allow_pickle=True)


def detectron2_png(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    """16-bit PNGs, and one JSON in the manner of predictions.json."""
    listed = []
    for image_id, drawn in all_drawn.items():
        Image.fromarray(drawn.numbered().astype(np.uint16)).save(folder / f"{image_id}.png")
        listed.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": entries(drawn, space)})
    (folder / "predictions.json").write_text(json.dumps(listed), encoding="utf-8")


def transformers(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    """A map and a JSON an image; void is -1."""
    for image_id, drawn in all_drawn.items():
        ids = drawn.numbered()
        np.save(folder / f"{image_id}.npy", np.where(ids == 0, -1, ids))
        infos = [
            {"id": e["id"], "label_id": e["category_id"], "was_fused": False, "score": 0.25}
            for e in entries(drawn, space)
        ]
        (folder / f"{image_id}.json").write_text(json.dumps({"segments_info": infos}), encoding="utf-8")


def mmdetection(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    """sem_seg of mmdetection: (1, H, W), label + 1000 * instance, void the number of classes."""
    for image_id, drawn in all_drawn.items():
        np.save(folder / f"{image_id}.npy", trained(drawn, space, void=len(space))[None] + 1000 * drawn.instance[None])


def divided(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    """category * 1000 + instance in 16 bits, void 0."""
    for image_id, drawn in all_drawn.items():
        ids = np.where(drawn.category < 0, 0, drawn.category * 1000 + drawn.instance)
        Image.fromarray(ids.astype(np.uint16)).save(folder / f"{image_id}.png")


def instance_ids(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    for image_id, drawn in all_drawn.items():
        things = drawn.category * 1000 + drawn.instance
        ids = np.where(drawn.category < 0, 0, np.where(drawn.instance > 0, things, drawn.category))
        (folder / image_id.partition("_")[0]).mkdir(exist_ok=True)
        file = folder / image_id.partition("_")[0] / f"{image_id}_gtFine_instanceIds.png"
        Image.fromarray(ids.astype(np.uint16)).save(file)


def labels(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    for image_id, drawn in all_drawn.items():
        ids = np.where(drawn.category < 0, VOID_LABEL, drawn.category)
        Image.fromarray(ids.astype(np.uint8)).save(folder / f"{image_id}.png")


def train_ids(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    for image_id, drawn in all_drawn.items():
        ids = trained(drawn, space, void=VOID_LABEL)
        Image.fromarray(ids.astype(np.uint8)).save(folder / f"{image_id}_gtFine_labelTrainIds.png")


def colors(folder: Path, all_drawn: dict[str, Drawn], space: Categories) -> None:
    table = {c.id: c.color for c in space} | {-1: (0, 0, 0)}
    for image_id, drawn in all_drawn.items():
        pixels = np.zeros((*drawn.category.shape, 3), dtype=np.uint8)
        for category, color in table.items():
            pixels[drawn.category == category] = color
        Image.fromarray(pixels).save(folder / f"{image_id}.png")


def trained(drawn: Drawn, space: Categories, void: int) -> NDArray[np.int64]:
    table = {c: i for i, c in enumerate(space.ids)} | {-1: void}
    return np.vectorize(table.__getitem__, otypes=[np.int64])(drawn.category)
