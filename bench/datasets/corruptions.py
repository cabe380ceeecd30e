"""Corruptions of pictures at strengths 1 to 5, after the idea of ImageNet-C (Hendrycks and Dietterich, 2019).

Pictures are changed after decoding and before preprocessing, at their own size; ground truth stays as it is. All
arithmetic is in integers, and random numbers are hashes of the image id, so that pixels are the same with each version
of Python and numpy. The exception is `jpeg`, which is Pillow's encoder and decoder: their library is named.

Random parts depend on the corruption and the image id, not on the strength, so that a curve over strengths shows the
strength alone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, UsageError
from bench.io.config import did_you_mean
from bench.types import RGB, Image

CORRUPTIONS_VERSION = 1  # goes up with every change of a pixel
STRENGTHS = (1, 2, 3, 4, 5)
LUMA = (77, 150, 29)  # weights of R, G and B in grey, of 256 (ITU-R BT.601)
AIR = (204, 202, 190)  # colour of fog
RAIN = (206, 210, 214)
STREAK = 110  # share of RAIN in a streak, of 256
DIRT = (36, 34, 32)
NIGHT = (230, 240, 256)  # gain of R, G and B at night beside each other, of 256
# Standard deviation of the sum of four uniform bytes, 147.80, as a reciprocal of 1 / 65536.
PER_SIGMA = 443
Share = int | NDArray[np.uint16]  # of 256; one for all pixels, or (H, W, 1)


@dataclass(frozen=True)
class Kind:
    """A corruption: `change(rgb, value, image id)` with a value for each strength. `unit` is that of the values."""

    change: Callable[[RGB, Any, str], RGB]
    values: tuple[Any, ...]
    unit: str


def brighten(rgb: RGB, levels: int, image_id: str) -> RGB:
    return _looked_up(rgb, np.arange(256) + levels)


def desaturate(rgb: RGB, percent: int, image_id: str) -> RGB:
    """Move each pixel towards its grey; `percent` of the distance is kept."""
    grey = (rgb * np.array(LUMA, np.uint16)).sum(axis=-1, keepdims=True, dtype=np.uint16) >> 8
    return _mixed(rgb, grey, 256 - percent * 256 // 100)


def flatten_contrast(rgb: RGB, percent: int, image_id: str) -> RGB:
    """Move all channels towards the mean level of the picture; `percent` of the distance is kept."""
    mean = int(rgb.sum(dtype=np.int64)) // max(1, rgb.size)
    return _looked_up(rgb, mean + ((np.arange(256) - mean) * (percent * 256 // 100) >> 8))


def compress(rgb: RGB, quality: int, image_id: str) -> RGB:
    """Encode as a baseline JPEG with 4:2:0 chroma and decode it."""
    from PIL import Image as PilImage

    stream = io.BytesIO()
    try:
        PilImage.fromarray(rgb).save(stream, "JPEG", quality=quality, subsampling=2, optimize=False, progressive=False)
    except (OSError, ValueError) as error:
        raise DataError(f"image {image_id!r}: a JPEG cannot hold it ({error}); leave the corruption jpeg out") from None
    with PilImage.open(stream) as image:
        return np.asarray(image.convert("RGB"))


def add_noise(rgb: RGB, sigma: int, image_id: str) -> RGB:
    return _noisy(rgb, sigma, f"noise/{image_id}")


def blur(rgb: RGB, value: tuple[int, int], image_id: str) -> RGB:
    """Apply two box filters in each direction. `value` is their half-width in thousandths of the height, and in px."""
    per_mille, least = value
    radius = max(least, (rgb.shape[0] * per_mille + 500) // 1000)
    for axis in (0, 0, 1, 1):
        rgb = _box(rgb, radius, axis)
    return rgb


def add_fog(rgb: RGB, percent: int, image_id: str) -> RGB:
    """Mix with the colour of air in slow waves: `percent` on average, up to a third more or less in places."""
    share = percent * 256 // 100
    waves = _waves(rgb.shape[0], rgb.shape[1], f"fog/{image_id}") - 128
    return _mixed(rgb, np.array(AIR, np.uint16), (share + waves * min(share, 256 - share) // 384)[..., None])


def add_rain(rgb: RGB, value: tuple[int, int], image_id: str) -> RGB:
    """Draw slanted streaks over a veil of air. `value` is streaks for each square of the height, and veil in percent.

    Streaks are 3 to 8 % of the height long and 1/400 of it wide, at least 1 px.
    """
    height, width, _ = rgb.shape
    rate, veil = value
    hazy = _mixed(rgb, np.array(AIR, np.uint16), veil * 256 // 100)
    longest, thick = max(3, height * 8 // 100), max(1, height // 400)
    words = _words(f"rain/{image_id}", 1 + rate * width // height).astype(np.int64) & 0x7FFF_FFFF_FFFF_FFFF
    slant, drops = int(words[0]) % 129 - 64, words[1:, None, None]  # px to the right for 256 px down
    down = np.arange(longest)[None, :, None]
    y = drops % (height + longest) - longest + down
    x = (drops >> 20) % (width + longest) - longest // 2 + (down * slant >> 8) + np.arange(thick)[None, None]
    inside = (down < longest * (96 + (drops >> 48) % 160) // 256) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    share = np.zeros((height, width, 1), np.uint16)
    share[np.broadcast_to(y, inside.shape)[inside], np.broadcast_to(x, inside.shape)[inside]] = STREAK
    return _mixed(hazy, np.array(RAIN, np.uint16), share)


def darken(rgb: RGB, value: tuple[int, int], image_id: str) -> RGB:
    """Lower the exposure to a percentage, red more than blue, and add noise of σ grey levels: `value` is both."""
    percent, sigma = value
    gains = [percent * 256 // 100 * gain >> 8 for gain in NIGHT]
    dark = np.stack([_looked_up(rgb[..., k], np.arange(256) * gain >> 8) for k, gain in enumerate(gains)], axis=-1)
    return _noisy(dark, sigma, f"darkness/{image_id}")


def occlude(rgb: RGB, percent: int, image_id: str) -> RGB:
    """Cover squares of 1/16 of the height, `percent` of them; a stronger corruption covers the same and more."""
    height, width, _ = rgb.shape
    side = max(1, height // 16)
    rows, columns = -(-height // side), -(-width // side)
    order = np.argsort(_words(f"occlusion/{image_id}", rows * columns), kind="stable")
    covered = np.zeros(rows * columns, np.bool_)
    covered[order[: max(1, rows * columns * percent // 100)]] = True
    mask = np.repeat(np.repeat(covered.reshape(rows, columns), side, axis=0), side, axis=1)[:height, :width]
    return np.where(mask[..., None], np.array(DIRT, np.uint8), rgb)


def _looked_up(rgb: RGB, table: NDArray[np.integer[Any]]) -> RGB:
    changed: RGB = np.clip(table, 0, 255).astype(np.uint8)[rgb]
    return changed


def _mixed(rgb: RGB, other: NDArray[np.uint16], share: Share | NDArray[np.integer[Any]]) -> RGB:
    """Return rgb and another colour, (3,) or (H, W, 1), by the share of the other, of 256."""
    # At most 255 · 256 in sum, which 16 bits hold. No scalars: beside one, numpy 1 keeps the 8 bits of rgb.
    part = np.array(share, np.uint16, ndmin=3)
    return ((rgb.astype(np.uint16) * (256 - part) + other * part) >> 8).astype(np.uint8)


def _noisy(rgb: RGB, sigma: int, key: str) -> RGB:
    """Add independent noise of `sigma` grey levels to each channel: sums of four bytes, nearly normal up to 3.4 σ."""
    words = _words(key, (rgb.size + 1) // 2).astype("<u8").view("<u4")[: rgb.size]
    pairs = (words & 0x00FF00FF) + (words >> 8 & 0x00FF00FF)
    total = ((pairs & 0xFFFF) + (pairs >> 16)).astype(np.int32).reshape(rgb.shape)
    noise = (total - 510) * (sigma * PER_SIGMA) + (1 << 15) >> 16
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def _box(rgb: RGB, radius: int, axis: int) -> RGB:
    """Return the rounded mean over `radius` pixels on both sides along an axis; edges are repeated."""
    width = 2 * radius + 1
    around = [(0, 0)] * 3
    around[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(rgb, around, mode="edge"), axis=axis, dtype=np.int32)
    ahead, behind = (slice(width, None), slice(None, -width))
    own: tuple[slice, ...] = (slice(None),) * axis
    return ((sums[(*own, ahead)] - sums[(*own, behind)] + radius) // width).astype(np.uint8)


def _waves(height: int, width: int, key: str) -> NDArray[np.int32]:
    """Return (H, W) smooth noise of 0 to 255: a lattice of a quarter of the height, interpolated."""
    side = max(1, height // 4)
    (top, down), (left, right) = _places(height, side), _places(width, side)
    shape = (int(top[-1]) + 2, int(left[-1]) + 2)
    lattice = (_words(key, shape[0] * shape[1]) & np.uint64(255)).astype(np.int32).reshape(shape)
    rows: NDArray[np.int32] = lattice[top] * (256 - down[:, None]) + lattice[top + 1] * down[:, None]
    waves: NDArray[np.int32] = (rows[:, left] * (256 - right) + rows[:, left + 1] * right) >> 16
    return waves


def _places(length: int, side: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return for each pixel the lattice point before it, and the weight of the next one, of 256."""
    at = np.arange(length, dtype=np.int32)
    share = at % side * 256 // side
    return at // side, share * share * (768 - 2 * share) >> 16  # smoothstep, 3x² - 2x³


def _words(key: str, count: int) -> NDArray[np.uint64]:
    """Return random words of a key: SplitMix64 (Steele, Lea and Flood, 2014) from the key's BLAKE2b hash."""
    start = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    words = np.arange(1, count + 1, dtype=np.uint64)
    words *= np.uint64(0x9E3779B97F4A7C15)
    words += np.uint64(start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words ^= words >> np.uint64(shift)
        words *= np.uint64(factor)
    words ^= words >> np.uint64(31)
    return words


KINDS: Mapping[str, Kind] = {
    "brightness": Kind(brighten, (26, 51, 77, 102, 128), "grey levels of 255 that are added"),
    "saturation": Kind(desaturate, (75, 50, 30, 15, 0), "percent of the distance to grey that is kept"),
    "contrast": Kind(flatten_contrast, (75, 50, 35, 22, 12), "percent of the distance to the mean that is kept"),
    "jpeg": Kind(compress, (50, 30, 18, 10, 5), "JPEG quality"),
    "noise": Kind(add_noise, (8, 16, 26, 40, 60), "σ in grey levels of 255, each channel of each pixel"),
    "blur": Kind(
        blur,
        ((4, 1), (8, 2), (12, 3), (18, 4), (26, 5)),
        "half-width of the box filters in thousandths of the height, and the least in px",
    ),
    "fog": Kind(add_fog, (25, 40, 55, 70, 82), "percent of air light, by waves and not by depth"),
    "rain": Kind(
        add_rain,
        ((120, 6), (240, 12), (400, 18), (600, 24), (900, 30)),
        "streaks for each square of the height, and percent of veil",
    ),
    "darkness": Kind(
        darken, ((45, 2), (32, 4), (23, 6), (16, 8), (10, 10)), "percent of exposure, and σ of noise in grey levels"
    ),
    "occlusion": Kind(occlude, (5, 10, 20, 30, 45), "percent of squares that are covered"),
}


@dataclass(frozen=True)
class Corruption:
    """One corruption at one strength."""

    name: str
    strength: int

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise UsageError(f"there is no corruption {self.name[:80]!r}; {did_you_mean(self.name, KINDS)}")
        if self.strength not in STRENGTHS:
            raise UsageError(f"{self.name}: the strength is 1 to 5, not {self.strength}")

    def __str__(self) -> str:
        return f"{self.name}:{self.strength}"

    def apply(self, image: Image) -> Image:
        kind = KINDS[self.name]
        return Image(image.image_id, kind.change(image.rgb, kind.values[self.strength - 1], image.image_id))

    def to_json(self) -> dict[str, Any]:
        """Return what decides the pixels: name, strength, version and, of jpeg, the library."""
        library = {"library": jpeg_library()} if self.name == "jpeg" else {}
        return {"name": self.name, "strength": self.strength, "version": CORRUPTIONS_VERSION, **library}


def parse_corruption(text: str) -> Corruption:
    """Read `fog:3`. Raise UsageError if it is none."""
    name, colon, strength = text.partition(":")
    if not colon or not (strength.isascii() and strength.isdigit() and len(strength) < 4):
        raise UsageError(f"corruption {text[:80]!r}: write NAME:STRENGTH, e.g. fog:3")
    return Corruption(name, int(strength))


def jpeg_library() -> str:
    """Return the name and version of the JPEG library of Pillow."""
    from PIL import features

    turbo = features.version("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"
