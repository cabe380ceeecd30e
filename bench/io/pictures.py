"""Pictures of a data set as 8 bit RGB.

A picture is turned as its EXIF orientation says, as viewers do. Grey is repeated, a palette looked up, alpha dropped;
CMYK is converted by Pillow's formula, without a colour profile. 16 bits become 8 by one shift for all pictures of a
data set: value >> (bits - 8), where `bits` is that of its YAML, else the bits of the largest value in any picture.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, error_context
from bench.io import files
from bench.io.archive import File
from bench.io.images import MAX_FILE, image_errors, open_header, open_image, read_content
from bench.types import RGB, Image

if TYPE_CHECKING:
    from PIL import Image as PilImage

ORIENTATION = 0x0112  # tag of EXIF and TIFF; 1 is upright
HEAD = 1 << 15  # bytes that hold what comes before the pixels of nearly every JPEG and PNG
# Pillow keeps the high bytes of 16 bit colours. By the raw mode of the other byte order it keeps the low ones.
NOT_NATIVE = "16B" if sys.byteorder == "little" else "16L"
LOW_BYTES = {
    f"{mode};{order}": f"{mode};{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("16B", "16L"), ("16L", "16B"), ("16N", NOT_NATIVE))
}
GREY_ALPHA = "LA;16B"  # has no other byte order: its four bytes are read as four channels


@dataclass(frozen=True)
class Header:
    """What a picture's header declares: Pillow's raw mode, whether channels have 16 bits, and the EXIF orientation."""

    raw_mode: str
    is_deep: bool
    orientation: int


def _header(image: PilImage.Image) -> Header:
    args = image.tile[0][3] if getattr(image, "tile", None) else ""  # type: ignore[attr-defined]
    raw_mode = str(args[0] if isinstance(args, tuple) and args else args)
    orientation = getattr(image, "tag_v2", {}).get(ORIENTATION, 1)
    with suppress(Exception):  # of many kinds, for EXIF that is broken
        from PIL import Image as PilImage

        exif = PilImage.Exif()
        exif.load(image.info["exif"])
        orientation = exif.get(ORIENTATION, 1)
    is_deep = raw_mode in LOW_BYTES or raw_mode == GREY_ALPHA or image.mode.startswith("I")
    return Header(raw_mode, is_deep, orientation if orientation in range(1, 9) else 1)


def read_header(file: File) -> Header:
    """Read the header of a picture, in most files without what follows. Raise DataError if it is unreadable."""
    with image_errors(file):
        with suppress(Exception), open_header(_head(file)) as image:
            return _header(image)
        with open_image(read_content(file)) as image:
            return _header(image)


def read_size(file: File) -> tuple[int, int]:
    """Return (H, W) of a picture as it is read, from its first bytes alone. Raise DataError if they do not hold it."""
    with image_errors(file), open_header(_head(file)) as image:
        turned = image.format != "TIFF" and _header(image).orientation > 4  # on its side
        return (image.width, image.height) if turned else (image.height, image.width)


def _head(file: File) -> bytes:
    if not isinstance(file, Path):
        return file.head(HEAD)
    files.check_regular(file, MAX_FILE)
    with file.open("rb") as stream:
        return stream.read(HEAD)


def read_picture(file: File) -> NDArray[Any]:
    """Read a picture as (H, W, 3) uint8, or uint16 of 16 bit channels. Raise DataError if it is unreadable."""
    with image_errors(file):
        content = read_content(file)
        with open_image(content) as image:
            header = _header(image)
            pixels = _pixels(image, header, content)
            return pixels if image.format == "TIFF" else _turned(pixels, header.orientation)  # Pillow turns a TIFF


def _pixels(image: PilImage.Image, header: Header, content: bytes) -> NDArray[Any]:
    if image.mode == "F":
        raise ValueError("its numbers have 32 bits; save it with 8 or 16 bits a channel")
    if not header.is_deep:
        return np.asarray(image.convert("RGB"))
    if header.raw_mode == GREY_ALPHA:
        _set_raw_mode(image, "RGBA")
        high, low = np.moveaxis(np.asarray(image)[..., :2].astype(np.uint16), 2, 0)
        return _repeated(high << 8 | low)
    if header.raw_mode in LOW_BYTES:
        with open_image(content) as again:
            _set_raw_mode(again, LOW_BYTES[header.raw_mode])
            low = np.asarray(again)[..., :3]
            colors: NDArray[np.uint16] = np.asarray(image)[..., :3].astype(np.uint16) << 8 | low
            return colors
    grey = np.asarray(image)
    if grey.min(initial=0) < 0 or grey.max(initial=0) >= 1 << 16:
        raise ValueError("its numbers have 32 bits; save it with 8 or 16 bits a channel")
    return _repeated(grey.astype(np.uint16))


def _set_raw_mode(image: Any, raw_mode: str) -> None:
    """Have Pillow decode with another raw mode of as many bits. Tiles are tuples, named ones in newer versions."""

    def changed(tile: Any) -> Any:
        args = (raw_mode, *tile[3][1:]) if isinstance(tile[3], tuple) else raw_mode
        return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)

    image.tile = [changed(tile) for tile in image.tile]


def _repeated(grey: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.repeat(grey[..., None], 3, axis=2)


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return (H, W, 3) pixels upright: EXIF 2.32, tag Orientation."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of a data set, read on demand. `declared` are the bits in use of 16 bit pictures, None to find them."""

    files: Sequence[File]
    declared: int | None = None

    @cached_property
    def turned(self) -> int:
        """Number of pictures that are turned by their EXIF orientation."""
        return sum(header.orientation != 1 for header in self._headers.values())

    @cached_property
    def bits(self) -> int | None:
        """Bits in use of the 16 bit pictures, at least 8; None if there are none. Reads all of them until 16 are."""
        deep = [file for file in self.files if (header := self._headers.get(str(file))) and header.is_deep]
        if not deep or self.declared is not None:
            return self.declared if deep else None
        most = 0
        for file in deep:
            with suppress(DataError):  # raised again when the picture is read
                most = max(most, int(read_picture(file).max(initial=0)))
            if most.bit_length() == 16:
                break
        return max(8, most.bit_length())

    @cached_property
    def _headers(self) -> dict[str, Header]:
        found = {}
        for file in self.files:
            with suppress(DataError):
                found[str(file)] = read_header(file)
        return found

    def to_json(self) -> dict[str, int]:
        """Return what decides how files become pixels: `bits` and `turned`, each only if there is such a picture."""
        found = {"bits": self.bits, "turned": self.turned}
        return {name: value for name, value in found.items() if value}

    def notes(self) -> list[str]:
        """Return a sentence for each kind of picture that is not read as it is stored."""
        found = []
        if self.turned:
            found.append(f"{self.turned} of {len(self.files)} pictures are turned by their EXIF orientation")
        if self.bits is not None and self.declared is None:
            found.append(
                f"16 bit pictures: {self.bits} bits are in use in {len(self.files)} pictures, and all are scaled by "
                f"it; `bits: {self.bits}` in the data set's YAML keeps it"
            )
        return found

    def read(self, image_id: str, file: File) -> Image:
        """Read a picture. Raise DataError, naming image and file, if it is unreadable or has more than `bits` bits."""
        with error_context(f"image {image_id!r}"):
            return Image(image_id, self._eight_bits(file))

    def _eight_bits(self, file: File) -> RGB:
        pixels = read_picture(file)
        if pixels.dtype == np.uint8:
            return pixels
        bits, most = self.bits or 16, int(pixels.max(initial=0))
        if most >= 1 << bits:
            raise DataError(f"{file}: holds {most}, which has more than {bits} bits; correct `bits:` of the data set")
        return (pixels >> (bits - 8)).astype(np.uint8)
