"""A scene as a network sees it in training: scaled, cropped, mirrored, under other light."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bench.recipes.color import recolor
from bench.recipes.recipe import Recipe
from bench.recipes.scenes import resized
from bench.recipes.specs import GeometryPolicy, Phase
from bench.recipes.targets import IGNORED, Cells, Scene, pick_cells

# ImageNet statistics on the 0..255 scale: what preprocessor_config.json will say.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def to_input(rgb: NDArray[np.floating], upscale: int) -> Tensor:
    """(B, H, W, 3) on the 0..255 scale → (B, 3, H * upscale, W * upscale) float32, normalised."""
    normalised = (rgb - np.array(PIXEL_MEAN, np.float32)) / np.array(PIXEL_STD, np.float32)
    pixels = torch.from_numpy(np.ascontiguousarray(normalised.astype(np.float32).transpose(0, 3, 1, 2)))
    if upscale == 1:
        return pixels
    return interpolate(pixels, scale_factor=upscale, mode="bilinear", align_corners=False)


def augment(
    scene: Scene, recipe: Recipe, phase: Phase, stride: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Cells]:
    """(h, w, 3) float32 of the phase's crop, and its targets in cells of `stride` px of the input."""
    rgb, index = _crop(_jittered(scene, recipe.geometry, rng), phase.crop_px, rng)
    if rng.random() < recipe.geometry.flip:
        rgb, index = rgb[:, ::-1], index[:, ::-1]
    lit = recolor(rgb.astype(np.float32), recipe.color, rng)
    padded, index = _padded(lit, index, phase.crop_px)
    if phase.upscale > stride:
        index = index.repeat(phase.upscale // stride, 0).repeat(phase.upscale // stride, 1)
    return padded, pick_cells(index, scene.classes, max(1, stride // phase.upscale), rng)


def _jittered(scene: Scene, policy: GeometryPolicy, rng: np.random.Generator) -> Scene:
    low, high = policy.scale
    if low == high == 1:
        return scene
    factor = rng.uniform(low, high)
    height, width = scene.index.shape
    return resized(scene, (round(height * factor), round(width * factor)))


def _crop(
    scene: Scene, crop_px: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A random window, or the whole side where the scene is smaller."""
    height, width = (min(a, b) for a, b in zip(crop_px, scene.index.shape, strict=True))
    top = int(rng.integers(0, scene.index.shape[0] - height + 1))
    left = int(rng.integers(0, scene.index.shape[1] - width + 1))
    window = np.s_[top : top + height, left : left + width]
    return scene.rgb[window], scene.index[window]


def _padded(
    rgb: NDArray[np.float32], index: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Filled up to `size` to the right and below: the mean colour, which is zero once normalised, and no target."""
    if index.shape == size:
        return rgb, index
    height, width = index.shape
    canvas = np.empty((*size, 3), dtype=np.float32)
    canvas[:] = PIXEL_MEAN
    canvas[:height, :width] = rgb
    targets = np.full(size, IGNORED, dtype=np.uint8)
    targets[:height, :width] = index
    return canvas, targets
