"""A scene as a network sees it in training: scaled, cropped, mirrored, under other light."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bench.recipes.color import recolor
from bench.recipes.recipe import Recipe
from bench.recipes.specs import Phase
from bench.recipes.targets import IGNORED, Cells, Scene, pick_cells

# ImageNet statistics on the 0..255 scale: what preprocessor_config.json will say.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def augment(scene: Scene, recipe: Recipe, phase: Phase, stride: int, rng: np.random.Generator) -> tuple[Tensor, Cells]:
    """(3, h, w) float32 of the phase's input size, normalised, and its targets in cells of `stride` px of it."""
    height, width = phase.crop_px
    factor = _factor(recipe, phase, rng)
    rgb, index = _window(scene, (round(height / factor), round(width / factor)), rng)
    if rng.random() < recipe.geometry.flip:
        rgb, index = rgb[:, ::-1], index[:, ::-1]
    pixels = to_input(recolor(rgb.astype(np.float32), recipe.color, rng), phase.input_px)
    cells = phase.input_px[0] // stride, phase.input_px[1] // stride
    return pixels, pick_cells(index, scene.classes, cells, rng)


def to_input(rgb: NDArray[np.floating], size: tuple[int, int]) -> Tensor:
    """(H, W, 3) on the 0..255 scale → (3, h, w) float32 at `size`, normalised."""
    normalised = (rgb - np.array(PIXEL_MEAN, np.float32)) / np.array(PIXEL_STD, np.float32)
    pixels = torch.from_numpy(np.ascontiguousarray(normalised.astype(np.float32).transpose(2, 0, 1)))
    if pixels.shape[1:] == size:
        return pixels
    shrinks = pixels.shape[1] > size[0]
    return interpolate(pixels[None], size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0]


def _factor(recipe: Recipe, phase: Phase, rng: np.random.Generator) -> float:
    """How much nearer the scene is seen than it is."""
    probability, most = phase.zoom
    zoom = 1 + rng.random() * (most - 1) if rng.random() < probability else 1.0
    return float(zoom * rng.uniform(*recipe.geometry.scale))


def _window(
    scene: Scene, size: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image and targets in a random window of `size`; what lies beyond the scene, to the right and below, has the
    mean colour and no target."""
    height, width = (min(a, b) for a, b in zip(size, scene.index.shape, strict=True))
    top = int(rng.integers(0, scene.index.shape[0] - height + 1))
    left = int(rng.integers(0, scene.index.shape[1] - width + 1))
    inside = np.s_[top : top + height, left : left + width]
    if (height, width) == size:
        return scene.rgb[inside], scene.index[inside]
    rgb = np.empty((*size, 3), dtype=np.uint8)
    rgb[:] = np.array(PIXEL_MEAN).round()
    index = np.full(size, IGNORED, dtype=np.uint8)
    rgb[:height, :width], index[:height, :width] = scene.rgb[inside], scene.index[inside]
    return rgb, index
