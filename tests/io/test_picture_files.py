"""Pictures of every kind become 8 bit RGB by one rule for a data set."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pngs import chunk

from bench.errors import DataError
from bench.io.pictures import Pictures, read_header, read_picture

RGB = np.random.default_rng(0).integers(0, 256, (6, 10, 3)).astype(np.uint8)


def deep_png(values: NDArray[Any]) -> bytes:
    """A PNG of 16 bits a channel: (H, W, 1 to 4)."""
    height, width, channels = values.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def deep_tiff(values: NDArray[Any], order: str, packed: bool, orientation: int = 1) -> bytes:
    """A TIFF of 16 bits a channel in a byte order ("<" or ">"), deflated if `packed`."""
    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    data += b"\0" * (len(data) % 2)
    bits = 8 + len(data)
    shorts = {256: width, 257: height, 258: 16, 259: 8 if packed else 1, 262: 2 if channels > 1 else 1,
              274: orientation, 277: channels, 278: height}  # fmt: skip
    entries = {tag: struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    longs = {273: 8, 279: len(data)}
    entries |= {tag: struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in longs.items()}
    if channels > 1:
        entries[258] = struct.pack(f"{order}HHII", 258, 3, channels, bits)
    start = bits + 2 * channels + 2 * channels % 4
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    body = (head + data + struct.pack(f"{order}{channels}H", *[16] * channels)).ljust(start, b"\0")
    table = b"".join(entries[tag] for tag in sorted(entries))
    return body + struct.pack(f"{order}H", len(entries)) + table + struct.pack(f"{order}I", 0)


def values_of(channels: int) -> NDArray[np.uint16]:
    return np.random.default_rng(channels).integers(0, 1 << 16, (5, 7, channels)).astype(np.uint16)


def colors_of(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.repeat(values[..., :1], 3, axis=2) if values.shape[2] < 3 else values[..., :3]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_of_a_png_are_read_whole(channels: int, tmp_path: Path) -> None:
    values = values_of(channels)
    (tmp_path / "a.png").write_bytes(deep_png(values))
    assert np.array_equal(read_picture(tmp_path / "a.png"), colors_of(values))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_a_tiff_are_read_whole(channels: int, order: str, packed: bool, tmp_path: Path) -> None:
    values = values_of(channels)
    (tmp_path / "a.tif").write_bytes(deep_tiff(values, order, packed, orientation=6))
    assert np.array_equal(read_picture(tmp_path / "a.tif"), np.rot90(colors_of(values), -1))
    assert read_header(tmp_path / "a.tif").orientation == 6


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_viewers_turn_it(orientation: int, ending: str, tmp_path: Path) -> None:
    file, exif = tmp_path / f"a.{ending}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(file, exif=exif)
    with Image.open(file) as image:
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(read_picture(file), shown)
    assert Pictures([file]).to_json() == ({} if orientation == 1 else {"turned": 1})


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_other_modes_are_colours(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png")
    assert read.dtype == np.uint8 and np.array_equal(read, np.asarray(image.convert("RGB")))


def test_the_bits_are_those_of_the_data_set(tmp_path: Path) -> None:
    """The darker picture is scaled like the brighter one."""
    files = [tmp_path / "dark.png", tmp_path / "bright.png", tmp_path / "plain.png"]
    for file, value in zip(files, (100, 4000), strict=False):
        file.write_bytes(deep_png(np.full((3, 4, 1), value)))
    Image.fromarray(RGB).save(files[2])
    pictures = Pictures(files)
    assert pictures.to_json() == {"bits": 12} and "12 bits" in pictures.notes()[0]
    assert [int(pictures.read(file.stem, file).rgb[0, 0, 0]) for file in files[:2]] == [100 >> 4, 4000 >> 4]
    assert np.array_equal(pictures.read("plain", files[2]).rgb, RGB)
    declared = Pictures(files, declared=14)
    assert int(declared.read("bright", files[1]).rgb[0, 0, 0]) == 4000 >> 6 and not declared.notes()
    with pytest.raises(DataError, match=r"image 'bright'.*bright\.png: holds 4000.*correct `bits:`"):
        Pictures(files, declared=8).read("bright", files[1])


def test_a_broken_picture_names_image_and_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    pictures = Pictures([tmp_path / "a.png"])
    assert pictures.to_json() == {}
    with pytest.raises(DataError, match=r"image '1': .*a\.png: cannot be read as an image .*; replace the file"):
        pictures.read("1", tmp_path / "a.png")
