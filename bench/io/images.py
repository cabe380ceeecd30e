"""Image files ↔ arrays. Unreadable files raise a DataError that names the file.

Pillow is imported on first use: panoptic PNGs can be scored without it.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, DataError, UsageError
from bench.io import files
from bench.io.archive import File

if TYPE_CHECKING:
    from PIL import Image as PilImage

READING_VERSION = 1  # goes up with every change of what is read from a picture or a map
# Not all of Pillow's formats: for EPS it starts Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF")
MAX_FILE = 1 << 29  # bytes
MAX_PIXELS = 89_478_485  # of an image, unless PIXELS_VARIABLE sets another limit; where Pillow begins to warn
PIXELS_VARIABLE = "BENCH_MAX_PIXELS"
PNG_START = b"\x89PNG\r\n\x1a\n"
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # weights of R, G and B in grey (ITU-R BT.601)
DEFLATE_RATIO = 1032  # bytes that a byte can stand for, at the most


def read_rgb(path: File) -> NDArray[np.uint8]:
    """Read the colours of a label or a map as they are stored, as (H, W, 3) uint8. Alpha is dropped."""
    with image_errors(path), open_image(read_content(path)) as image:
        return np.asarray(image.convert("RGB"))


def read_palette(path: File) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    """Return the colours of the palette of a PNG that has one, and those that pixels have."""
    with image_errors(path), open_image(read_content(path)) as image:
        values = image.getpalette() or []
        palette = list(zip(values[::3], values[1::3], values[2::3], strict=True))
        return set(palette), {palette[i] for i in np.unique(np.asarray(image)).tolist() if i < len(palette)}


def read_labels(path: File) -> NDArray[np.int32]:
    """Read a single-channel 8 or 16 bit PNG as (H, W) int32."""
    with image_errors(path), open_image(read_content(path)) as image:
        if image.format != "PNG":
            raise DataError(f"{path}: not a PNG but {image.format}; write the labels as PNG, from the ids")
        labels = np.asarray(image)
        if labels.ndim != 2 or image.mode not in ("L", "P", "I", "I;16"):
            raise DataError(f"{path}: expected one channel of labels, found mode {image.mode}")
        return labels.astype(np.int32)


def read_content(path: File) -> bytes:
    return files.read_bytes(path, MAX_FILE) if isinstance(path, Path) else path.read_bytes()


def open_image(content: bytes, formats: tuple[str, ...] = FORMATS) -> PilImage.Image:
    """Return the image, to be decoded on first use. Raise ValueError if it has too many pixels."""
    check_png_size(content)
    image = open_header(content, formats)
    try:
        _check_pixel_limit(image.width, image.height)
    except ValueError:
        image.close()
        raise
    return image


def open_header(content: bytes, formats: tuple[str, ...] = FORMATS) -> PilImage.Image:
    """Return the image of a file that may be cut after its header. Its size is not checked."""
    from PIL import Image as PilImage

    if (limit := max_pixels()) > MAX_PIXELS:
        PilImage.MAX_IMAGE_PIXELS = limit  # Pillow warns above its own limit, and raises above twice of it
    return PilImage.open(io.BytesIO(content), formats=formats)


@contextmanager
def image_errors(path: File) -> Iterator[None]:
    """Turn any error of reading an image, of Pillow too, into a DataError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; put it there, or correct its name in the JSON") from None
    except BenchError:
        raise
    except TooManyPixels as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # of many kinds, some of them mere accidents of a decoder
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if type(error).__name__ == "UnidentifiedImageError":  # of Pillow, whose message shows a buffer in memory
            reason = f"it is none of {', '.join(FORMATS)}"
        raise DataError(f"{path}: cannot be read as an image ({reason}); replace the file") from None


def max_pixels() -> int:
    """Return the limit of an image's pixels: MAX_PIXELS, or the value of PIXELS_VARIABLE."""
    value = os.environ.get(PIXELS_VARIABLE, "").replace("_", "") or str(MAX_PIXELS)
    if not value.isdecimal():
        raise UsageError(f"{PIXELS_VARIABLE}={value[:40]!r}: write a number of pixels, e.g. 400000000")
    return int(value)


@contextmanager
def pixel_limit(pixels: int) -> Iterator[None]:
    """Set another limit of an image's pixels, for this process and those that it starts."""
    former = os.environ.get(PIXELS_VARIABLE)
    os.environ[PIXELS_VARIABLE] = str(pixels)
    try:
        yield
    finally:
        del os.environ[PIXELS_VARIABLE]
        if former is not None:
            os.environ[PIXELS_VARIABLE] = former


class TooManyPixels(ValueError):
    """An image above the limit, whose message has the remedy."""


def _check_pixel_limit(width: int, height: int) -> None:
    """Raise TooManyPixels above the limit. Pillow only warns up to twice its own."""
    if width * height > (limit := max_pixels()):
        raise TooManyPixels(
            f"it declares {width} x {height} px, more than {limit}; to read it nevertheless, give "
            f"--max-pixels {width * height}, or set {PIXELS_VARIABLE}={width * height}"
        )


def check_png_size(content: bytes) -> None:
    """Raise ValueError if a PNG is too small for the size that it declares. Decodes nothing; ignores other formats."""
    if content[:8] != PNG_START or content[12:16] != b"IHDR" or len(content) < 26:
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
