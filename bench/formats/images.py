"""Image files as arrays; whatever is wrong with one becomes a DataError that names it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.errors import DataError
from bench.formats.archive import File


def read_rgb(path: File) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of any image file that Pillow reads."""
    with _open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_labels(path: File) -> NDArray[np.int32]:
    """(H, W) int32 of a single-channel 8 or 16 bit PNG."""
    with _open(path) as image:
        labels = np.asarray(image)
        if labels.ndim != 2 or image.mode not in ("L", "P", "I", "I;16"):
            raise DataError(f"{path}: expected one channel of labels, found mode {image.mode}")
        return labels.astype(np.int32)


def _open(path: File) -> PilImage.Image:
    """The decoded image; Pillow's many ways to fail are one DataError."""
    try:
        image = PilImage.open(path if isinstance(path, Path) else io.BytesIO(path.read_bytes()))
        try:
            _refuse_bomb(image)
            image.load()
        except BaseException:
            image.close()
            raise
        return image
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, SyntaxError, ValueError, EOFError, Warning, PilImage.DecompressionBombError) as error:
        reason = str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read as an image ({reason}); replace the file") from None


def _refuse_bomb(image: PilImage.Image) -> None:
    """Pillow only warns up to twice its limit; a declared size costs memory before a byte is decoded."""
    pixels = image.width * image.height
    if PilImage.MAX_IMAGE_PIXELS and pixels > PilImage.MAX_IMAGE_PIXELS:
        raise ValueError(f"it declares {image.width} x {image.height} px, more than {PilImage.MAX_IMAGE_PIXELS}")


def write_png(path: Path, pixels: NDArray[np.generic]) -> None:
    """A PNG of (H, W, 3) uint8, (H, W) uint8 or (H, W) uint16, complete or not there at all."""
    temporary = path.with_name(f".{path.name}.part")
    PilImage.fromarray(pixels).save(temporary, format="PNG", compress_level=1)
    temporary.replace(path)
