"""Data augmentation: crop, scale, flip and colour."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage
from torch import Tensor
from torch.nn.functional import interpolate

from bench.adapters.transformers_models import PIXEL_MEAN, PIXEL_STD
from bench.io.images import LUMA
from bench.training.data.scenes import IGNORED, TargetGrid, TrainingSample, sample_targets
from bench.training.recipe import Chance, ColorPolicy, JpegChance, Phase, Recipe

Rgb = NDArray[np.float32]  # (h, w, 3), 0..255


def recolor(rgb: Rgb, policy: ColorPolicy, rng: np.random.Generator) -> Rgb:
    """Apply the colour operations that are drawn for an image, in random order."""
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


def _sample_chance(chance: Chance, rng: np.random.Generator) -> bool:
    return chance.strength > 0 and rng.random() < chance.probability


def _color_factor(chance: Chance, rng: np.random.Generator, size: int | None = None) -> NDArray[np.float32]:
    return np.asarray(rng.uniform(1 - chance.strength, 1 + chance.strength, size), dtype=np.float32)


def _clip(rgb: NDArray[np.floating]) -> Rgb:
    clipped: Rgb = np.clip(rgb, 0, 255).astype(np.float32, copy=False)
    return clipped


def _brightness(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    return _clip(rgb * _color_factor(chance, rng)) if _sample_chance(chance, rng) else rgb


def _tint(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    return _clip(rgb * _color_factor(chance, rng, 3)) if _sample_chance(chance, rng) else rgb


def _saturation(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    if not _sample_chance(chance, rng):
        return rgb
    grey = (rgb @ LUMA)[..., None]
    return _clip(grey + (rgb - grey) * _color_factor(chance, rng))


def _contrast(rgb: Rgb, chance: Chance, rng: np.random.Generator) -> Rgb:
    if not _sample_chance(chance, rng):
        return rgb
    middle = (rgb @ LUMA).mean(dtype=np.float32)
    return _clip(middle + (rgb - middle) * _color_factor(chance, rng))


def _jpeg(rgb: Rgb, chance: JpegChance, rng: np.random.Generator) -> Rgb:
    if rng.random() >= chance.probability:
        return rgb
    coded = io.BytesIO()
    quality = int(rng.integers(chance.quality[0], chance.quality[1] + 1))
    PilImage.fromarray((rgb + 0.5).astype(np.uint8)).save(coded, "JPEG", quality=quality)
    with PilImage.open(coded) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32)


def augment(
    scene: TrainingSample, recipe: Recipe, phase: Phase, stride: int, rng: np.random.Generator
) -> tuple[Tensor, TargetGrid]:
    """Return a random crop of an image at the phase's input size, (3, h, w) float32, normalised, and its target grid.

    A cell of the grid covers `stride` × `stride` px of the input.
    """
    height, width = phase.crop_px
    factor = _factor(recipe, phase, rng)
    rgb, index = _window(scene, (round(height / factor), round(width / factor)), rng)
    if rng.random() < recipe.geometry.flip:
        rgb, index = rgb[:, ::-1], index[:, ::-1]
    pixels = to_input(recolor(rgb.astype(np.float32), recipe.color, rng), phase.input_px)
    cells = phase.input_px[0] // stride, phase.input_px[1] // stride
    return pixels, sample_targets(index, scene.classes, cells, rng)


def to_input(rgb: NDArray[np.floating], size: tuple[int, int]) -> Tensor:
    """Convert (H, W, 3) RGB, 0..255, to a normalised (3, h, w) float32 tensor of `size` (height, width)."""
    normalised = (rgb - PIXEL_MEAN) / PIXEL_STD
    pixels = torch.from_numpy(np.ascontiguousarray(normalised.astype(np.float32).transpose(2, 0, 1)))
    if pixels.shape[1:] == size:
        return pixels
    # Without antialiasing a smaller image would have other statistics than the one that the adapter resizes with
    # Pillow.
    shrinks = pixels.shape[1] > size[0]
    return interpolate(pixels[None], size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0]


def _factor(recipe: Recipe, phase: Phase, rng: np.random.Generator) -> float:
    probability, most = phase.zoom
    zoom = 1 + rng.random() * (most - 1) if rng.random() < probability else 1.0
    return float(zoom * rng.uniform(*recipe.geometry.scale))


def _window(
    scene: TrainingSample, size: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return image and targets in a random window of `size`, padded right and below: mean colour, IGNORED."""
    height, width = (min(a, b) for a, b in zip(size, scene.index.shape, strict=True))
    top = int(rng.integers(0, scene.index.shape[0] - height + 1))
    left = int(rng.integers(0, scene.index.shape[1] - width + 1))
    inside = np.s_[top : top + height, left : left + width]
    if (height, width) == size:
        return scene.rgb[inside], scene.index[inside]
    rgb = np.empty((*size, 3), dtype=np.uint8)
    rgb[:] = PIXEL_MEAN.round()
    index = np.full(size, IGNORED, dtype=np.uint8)
    rgb[:height, :width], index[:height, :width] = scene.rgb[inside], scene.index[inside]
    return rgb, index
