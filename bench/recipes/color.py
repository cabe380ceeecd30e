"""Changes of colour: labels stay as they are."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.recipes.specs import Chance, ColorPolicy, JpegChance

Rgb = NDArray[np.float32]  # (h, w, 3), 0..255
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def recolor(rgb: Rgb, policy: ColorPolicy, rng: np.random.Generator) -> Rgb:
    """The image after the operations that were drawn for it, in an order drawn too."""
    operations = [
        lambda x: _brightness(x, policy.brightness, rng),
        lambda x: _tint(x, policy.tint, rng),
        lambda x: _saturation(x, policy.saturation, rng),
        lambda x: _contrast(x, policy.contrast, rng),
        lambda x: _jpeg(x, policy.jpeg, rng),
    ]
    for i in rng.permutation(len(operations)):
        rgb = operations[i](rgb)
    return rgb


def _drawn(chance: Chance, rng: np.random.Generator) -> bool:
    return chance.strength > 0 and rng.random() < chance.probability


def _factor(chance: Chance, rng: np.random.Generator, size: int | None = None) -> NDArray[np.float32]:
    return np.asarray(rng.uniform(1 - chance.strength, 1 + chance.strength, size), dtype=np.float32)


def _clip(rgb: NDArray[np.floating]) -> Rgb:
    clipped: Rgb = np.clip(rgb, 0, 255).astype(np.float32, copy=False)
    return clipped


def _brightness(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    return _clip(rgb * _factor(chance, rng)) if _drawn(chance, rng) else rgb


def _tint(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    return _clip(rgb * _factor(chance, rng, 3)) if _drawn(chance, rng) else rgb


def _saturation(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    if not _drawn(chance, rng):
        return rgb
    grey = (rgb @ LUMA)[..., None]
    return _clip(grey + (rgb - grey) * _factor(chance, rng))


def _contrast(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    if not _drawn(chance, rng):
        return rgb
    middle = (rgb @ LUMA).mean(dtype=np.float32)
    return _clip(middle + (rgb - middle) * _factor(chance, rng))


def _jpeg(rgb: Rgb, chance: JpegChance, rng: np.random.Generator) -> Rgb:
    if rng.random() >= chance.probability:
        return rgb
    coded = io.BytesIO()
    quality = int(rng.integers(chance.quality[0], chance.quality[1] + 1))
    PilImage.fromarray((rgb + 0.5).astype(np.uint8)).save(coded, "JPEG", quality=quality)
    with PilImage.open(coded) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32)
