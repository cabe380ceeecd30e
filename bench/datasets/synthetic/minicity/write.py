"""Files of minicity in the layout of Cityscapes."""

from pathlib import Path

from PIL import Image

from bench.datasets.synthetic.generate import PNG_LEVEL, GeneratedDataset
from bench.datasets.synthetic.minicity.scene import SPLITS, VERSION, Scene, render

KINDS = ("leftImg8bit", "gtFine")


def parts(split: str) -> tuple[str, ...]:
    return tuple(f"{kind}/{split}" for kind in KINDS)


def write_one(root: Path, split: str, index: int) -> None:
    save(render(split, index), root, split)


def save(scene: Scene, root: Path, split: str) -> None:
    photo, truth = (root / kind / split / scene.city for kind in KINDS)
    photo.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    ids = scene.instance_ids
    labels = Image.fromarray((ids // 1000 * (ids >= 1000) + ids * (ids < 1000)).astype("uint8"))
    Image.fromarray(scene.rgb).save(photo / f"{scene.image_id}_leftImg8bit.png", compress_level=PNG_LEVEL)
    Image.fromarray(ids).save(truth / f"{scene.image_id}_gtFine_instanceIds.png", compress_level=PNG_LEVEL)
    labels.save(truth / f"{scene.image_id}_gtFine_labelIds.png", compress_level=PNG_LEVEL)


MINICITY = GeneratedDataset("minicity", VERSION, SPLITS, parts, write_one)
ensure, write_split = MINICITY.ensure, MINICITY.write_split
