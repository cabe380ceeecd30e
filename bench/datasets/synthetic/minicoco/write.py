"""Files of minicoco in the format of COCO panoptic, with COCO's categories."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from bench.datasets.label_spaces import load_space
from bench.datasets.synthetic.generate import PNG_LEVEL, GeneratedDataset
from bench.datasets.synthetic.minicoco.scene import SPLITS, VERSION, render
from bench.io.coco_writer import coco_categories, write_panoptic

Record = tuple[dict[str, Any], dict[str, Any]]  # entries of `images` and of `annotations`


def parts(split: str) -> tuple[str, ...]:
    truth = f"annotations/panoptic_{split}2017"
    return f"{split}2017", truth, f"{truth}.json"


def write_one(root: Path, split: str, index: int) -> Record:
    """Write the two PNGs of a picture; return its entries of `images` and `annotations`."""
    picture = render(split, index)
    photos, truth, _ = (root / part for part in parts(split))
    photos.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    name = f"{picture.image_id:012d}.png"
    Image.fromarray(picture.rgb).save(photos / name, compress_level=PNG_LEVEL)
    height, width = picture.panoptic.size
    entry = {"id": picture.image_id, "file_name": name, "width": width, "height": height}
    return entry, {"image_id": picture.image_id, **write_panoptic(truth / name, picture.panoptic)}


def write_json(root: Path, split: str, records: list[Record]) -> None:
    """Write the JSON of a split, with all 133 categories of COCO."""
    categories = coco_categories(load_space("coco-133").evaluated)
    images, annotations = ([record[kind] for record in records] for kind in (0, 1))
    info = {"description": f"minicoco {VERSION}, {split}: generated"}
    whole = {"info": info, "images": images, "annotations": annotations, "categories": categories}
    (root / parts(split)[2]).write_text(json.dumps(whole) + "\n", encoding="utf-8")


MINICOCO = GeneratedDataset("minicoco", VERSION, SPLITS, parts, write_one, write_json)
ensure = MINICOCO.ensure
