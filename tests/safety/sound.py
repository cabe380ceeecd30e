"""Sound files of every kind that enters the tool: tiny, whole, and read without a word."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

Files = dict[str, bytes]
CONFIGS = Path(__file__).parents[2] / "configs"


def write(root: Path, files: Files) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


IDS = np.array(
    [
        [10, 10, 10, 10, 10, 10, 10, 0],
        [10, 300, 300, 0, 66000, 66000, 66000, 0],
        [20, 300, 300, 20, 66000, 66000, 66000, 301],
        [20, 20, 20, 20, 20, 20, 20, 20],
    ]
)
CLASS_OF = {10: 4, 20: 3, 300: 1, 301: 1, 66000: 2}
CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    {"id": 2, "name": "car", "isthing": 1, "color": [0, 0, 142]},
    {"id": 3, "name": "road", "isthing": 0, "color": [128, 64, 128]},
    {"id": 4, "name": "sky", "isthing": 0, "color": [70, 130, 180]},
]


def picture(pixels: NDArray[Any], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    PilImage.fromarray(pixels).save(file, kind)
    return file.getvalue()


def png_of(ids: NDArray[Any]) -> bytes:
    """Segment ids as a panoptic PNG."""
    return picture(np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8))


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def coco_json(*, scores: bool = False) -> bytes:
    areas = dict(zip(*np.unique(IDS, return_counts=True), strict=True))
    infos = [
        {"id": number, "category_id": category, "iscrowd": 0, "area": int(areas[number]), "bbox": [0, 0, 1, 1]}
        | ({"score": 0.5} if scores else {})
        for number, category in CLASS_OF.items()
    ]
    return json.dumps(
        {
            "categories": CATEGORIES,
            "images": [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 8} for i in "ab"],
            "annotations": [{"image_id": i, "file_name": f"{i}.png", "segments_info": infos} for i in "ab"],
        }
    ).encode()


RGB = np.arange(96, dtype=np.uint8).reshape(4, 8, 3)
SEMANTIC = np.vectorize(lambda i: CLASS_OF.get(i, 0))(IDS).astype(np.uint8)
PNGS = {f"{i}.png": png_of(IDS) for i in "ab"}
PICTURES = {f"{i}.jpg": picture(RGB, "JPEG") for i in "ab"}


def below(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": content for name, content in files.items()}


def pair() -> Files:
    """Truth and predictions as any tool writes them."""
    made = {"pred.json": coco_json(scores=True), **below("pred", PNGS)}
    return {"gt.json": coco_json(), **below("gt", PNGS), **made,
            **{f"pred/semantic/{i}.png": picture(SEMANTIC) for i in "ab"}}  # fmt: skip


def forms() -> Files:
    """The same prediction as an npz with pickled segments, as arrays with a JSON, and as category and instance."""
    infos = [{"id": number, "category_id": category} for number, category in CLASS_OF.items()]
    pickled, plain = io.BytesIO(), io.BytesIO()
    np.savez(pickled, panoptic_seg=IDS, segments_info=np.array(infos, dtype=object))
    np.save(plain, IDS)
    one = json.dumps([{"image_id": i, "file_name": f"{i}.npy", "segments_info": infos} for i in "ab"]).encode()
    divided = np.vectorize(lambda i: 1000 * CLASS_OF.get(i, 0) + (i == 301))(IDS).astype(np.uint16)
    return {"gt.json": coco_json(), **below("gt", PNGS), **{f"npz/{i}.npz": pickled.getvalue() for i in "ab"},
            **{f"npy/{i}.npy": plain.getvalue() for i in "ab"}, "npy/list.json": one,
            **{f"png/{i}.png": picture(divided) for i in "ab"},
            **{f"labels/{i}.png": picture(SEMANTIC) for i in "ab"}}  # fmt: skip


COCO_YAML = """\
title: tiny
layout: coco
labels: from-file
splits: [val]
default_split: val
semantic_rule: detectron2
roots: {NOWHERE: ""}
files:
  val:
    json: [gt.json, all.zip/gt.json]
    panoptic: [gt, all.zip/png.zip/gt]
    images: [jpg, jpg.zip]
tree: |
  gt.json
obtain: nowhere
"""


def coco_tree() -> Files:
    return {"tiny.yaml": COCO_YAML.encode(), "gt.json": coco_json(), **below("gt", PNGS), **below("jpg", PICTURES)}


def coco_zips() -> Files:
    inner = zipped(below("gt", PNGS), zipfile.ZIP_STORED)
    return {"tiny.yaml": COCO_YAML.encode(), "all.zip": zipped({"gt.json": coco_json(), "png.zip": inner}),
            "jpg.zip": zipped(PICTURES, zipfile.ZIP_STORED)}  # fmt: skip


CITY = "bonn/bonn_000001_000019"
LABELS = np.array([[23, 23, 4, 24000], [7, 7, 24, 26001], [7, 0, 26000, 26000]])


def cityscapes() -> Files:
    return {f"leftImg8bit/val/{CITY}_leftImg8bit.png": picture(RGB[:3, :4]),
            f"gtFine/val/{CITY}_gtFine_instanceIds.png": picture(LABELS.astype(np.uint16))}  # fmt: skip


def cityscapes_converted() -> Files:
    """As createPanopticImgs leaves it."""
    image = CITY.partition("/")[2]
    named = {7: "road", 26: "car"}
    infos = [{"id": n, "category_id": n, "iscrowd": 0, "area": 16, "bbox": [0, 0, 1, 1]} for n in named]
    categories = [{"id": n, "name": name, "isthing": int(n > 23), "color": [1, 2, 3]} for n, name in named.items()]
    listed = {"images": [{"id": image, "file_name": "x.png", "width": 8, "height": 4}], "categories": categories,
              "annotations": [{"image_id": image, "file_name": "x.png", "segments_info": infos}]}  # fmt: skip
    return {f"leftImg8bit/val/{CITY}_leftImg8bit.png": picture(RGB),
            "gtFine/cityscapes_panoptic_val.json": json.dumps(listed).encode(),
            "gtFine/cityscapes_panoptic_val/x.png": png_of(np.repeat([[7], [26]], 2, 0).repeat(8, 1))}  # fmt: skip


def ika() -> Files:
    colours = np.array([(128, 64, 128), (244, 35, 232), (0, 0, 0), (0, 0, 142)], dtype=np.uint8)
    return {"input/a.png": picture(RGB),
            "label/a_gtFine_labelColor.png": picture(colours[np.arange(32).reshape(4, 8) % 4])}  # fmt: skip


def shipped(*names: str) -> Files:
    """Shipped configs under their own names, those that name each other by a path beside them."""
    texts = {Path(name).name: (CONFIGS / name).read_text(encoding="utf-8") for name in names}
    for name in texts:
        texts = {other: text.replace(f": {Path(name).stem}\n", f": {name}\n") for other, text in texts.items()}
    return {name: text.encode() for name, text in texts.items()}


def label_files() -> Files:
    return shipped("labels/ika-12.yaml", "labels/cityscapes-to-ika.yaml")


def city_configs() -> Files:
    return {"mine.yaml": (CONFIGS / "datasets" / "cityscapes.yaml").read_bytes(),
            "derived.yaml": (CONFIGS / "datasets" / "cityscapes-ika.yaml").read_bytes(), **cityscapes()}  # fmt: skip


def model_file() -> Files:
    return {"mine.yaml": (CONFIGS / "models" / "mask2former.yaml").read_bytes(), "weights/config.json": b"{}",
            "weights/model.safetensors": b""}  # fmt: skip


def recipe() -> Files:
    return {"recipe.yaml": (CONFIGS / "train" / "mask2former-tiny-minicity.yaml").read_bytes()}


MADE = below("made", {"predictions.json": coco_json(scores=True), **PNGS})


def model_run() -> Files:
    """A committed run of a model: its meta says more than that of predictions."""
    (folder,) = (CONFIGS.parent / "results" / "minicity-val" / "mask2former").glob("*")
    names = ("run.json", "done.json")
    lines = b"".join((folder / "images-0-of-1.jsonl").read_bytes().splitlines(keepends=True)[:2])
    return {f"run/{name}": (folder / name).read_bytes() for name in names} | {"run/images-0-of-1.jsonl": lines}
