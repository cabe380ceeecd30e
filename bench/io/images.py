"""Image files ↔ arrays. Unreadable files raise a DataError that names the file.

Pillow is imported on first use: panoptic PNGs can be scored without it.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.io import files
from bench.io.archive import File

if TYPE_CHECKING:
    from PIL import Image as PilImage

READING_VERSION = 1  # goes up with every change of what is read from a picture or a map
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM")  # Pillow knows more, and starts Ghostscript for one of them
MAX_FILE = 1 << 29  # bytes
MAX_PIXELS = 89_478_485  # of an image; where Pillow begins to warn
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # weights of R, G and B in grey (ITU-R BT.601)
DEFLATE_RATIO = 1032  # bytes that a byte can stand for, at the most


def read_rgb(path: File) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, WebP, BMP or PPM file as (H, W, 3) uint8."""
    with _open(path, FORMATS) as image:
        return np.asarray(image.convert("RGB"))


def read_labels(path: File) -> NDArray[np.int32]:
    """Read a single-channel 8 or 16 bit PNG as (H, W) int32."""
    with _open(path, ("PNG",)) as image:
        labels = np.asarray(image)
        if labels.ndim != 2 or image.mode not in ("L", "P", "I", "I;16"):
            raise DataError(f"{path}: expected one channel of labels, found mode {image.mode}")
        return labels.astype(np.int32)


def _open(path: File, formats: tuple[str, ...]) -> PilImage.Image:
    """Return the decoded image. Raise DataError for any error of Pillow."""
    from PIL import Image as PilImage

    try:
        content = files.read_bytes(path, MAX_FILE) if isinstance(path, Path) else path.read_bytes()
        check_png_size(content)
        image = PilImage.open(io.BytesIO(content), formats=formats)
        try:
            _check_pixel_limit(image.width, image.height)
            image.load()
        except BaseException:
            image.close()
            raise
        return image
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except DataError:
        raise
    except Exception as error:  # of many kinds, some of them mere accidents of a decoder
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read as an image ({reason}); replace the file") from None


def _check_pixel_limit(width: int, height: int) -> None:
    """Raise ValueError above MAX_PIXELS. Pillow only warns up to twice its limit."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"it declares {width} x {height} px, more than {MAX_PIXELS}")


def check_png_size(content: bytes) -> None:
    """Raise ValueError if a PNG is too small for the size that it declares. Decodes nothing; ignores other formats."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 26:
        return
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    _check_pixel_limit(width, height)
    channels = {2: 3, 4: 2, 6: 4}.get(kind, 1)
    needed = height * (1 + (width * depth * channels + 7) // 8)
    if needed > DEFLATE_RATIO * len(content):
        raise ValueError(f"it declares {width} x {height} px, which {len(content)} bytes cannot hold")


def write_png(path: Path, pixels: NDArray[np.generic]) -> None:
    """Write (H, W, 3) uint8, (H, W) uint8 or (H, W) uint16 as a PNG, atomically."""
    from PIL import Image as PilImage

    with files.write_atomic(path) as temporary:
        PilImage.fromarray(pixels).save(temporary, format="PNG", compress_level=1)
