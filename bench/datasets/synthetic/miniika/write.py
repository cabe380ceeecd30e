"""Files of miniika in ika's layout, a folder for each split."""

from pathlib import Path

from PIL import Image

from bench.datasets.synthetic.generate import PNG_LEVEL, GeneratedDataset
from bench.datasets.synthetic.miniika.scene import SPLITS, VERSION, render
from bench.types import ProgressCallback


def parts(split: str) -> tuple[str, ...]:
    return f"{split}/input", f"{split}/label"


def write_one(root: Path, split: str, index: int) -> None:
    frame = render(split, index)
    photo, label = (root / part for part in parts(split))
    photo.mkdir(parents=True, exist_ok=True)
    label.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame.rgb).save(photo / f"{frame.stem}.png", compress_level=PNG_LEVEL)
    Image.fromarray(frame.labels).save(label / f"{frame.stem}_gtFine_labelColor.png", compress_level=PNG_LEVEL)


MINIIKA = GeneratedDataset("miniika", VERSION, SPLITS, parts, write_one)


def ensure(root: Path | None, split: str, on_image: ProgressCallback | None = None) -> Path:
    """Return the folder with `input` and `label` of a split, generating it if necessary."""
    return MINIIKA.ensure(root, split, on_image) / split
