"""Random crops, flips and light; batches are made ahead by one thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bench.recipes.recipe import Phase
from bench.recipes.targets import Cells, Scene, pick_cells

# ImageNet statistics on the 0..255 scale: what preprocessor_config.json will say.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
AHEAD = 3  # batches


@dataclass(frozen=True, eq=False)
class Batch:
    """`pixels` (B, 3, h, w) float32, normalised and enlarged; the targets of each image."""

    pixels: Tensor
    targets: tuple[Cells, ...]


def to_input(rgb: NDArray[np.floating], upscale: int) -> Tensor:
    """(B, H, W, 3) on the 0..255 scale → (B, 3, H * upscale, W * upscale) float32, normalised."""
    normalised = (rgb - np.array(PIXEL_MEAN, np.float32)) / np.array(PIXEL_STD, np.float32)
    pixels = torch.from_numpy(np.ascontiguousarray(normalised.astype(np.float32).transpose(0, 3, 1, 2)))
    if upscale == 1:
        return pixels
    return interpolate(pixels, scale_factor=upscale, mode="bilinear", align_corners=False)


def augment(
    scene: Scene, crop_px: tuple[int, int], cell_px: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Cells]:
    """A random crop, mirrored half the time, under slightly different light: (h, w, 3) float32, targets."""
    height, width = (min(a, b) for a, b in zip(crop_px, scene.index.shape, strict=True))
    top = int(rng.integers(0, scene.index.shape[0] - height + 1))
    left = int(rng.integers(0, scene.index.shape[1] - width + 1))
    window = np.s_[top : top + height, left : left + width]
    rgb, index = scene.rgb[window], scene.index[window]
    if rng.random() < 0.5:
        rgb, index = rgb[:, ::-1], index[:, ::-1]
    gain = (0.85 + 0.3 * rng.random()) * (0.97 + 0.06 * rng.random(3))
    lit = np.clip(rgb * gain.astype(np.float32), np.float32(0), np.float32(255))
    return lit.astype(np.float32, copy=False), pick_cells(index, scene.classes, cell_px, rng)


def batches(scenes: Sequence[Scene], phase: Callable[[], Phase], seed: int) -> Iterator[Batch]:
    """Endless batches: every scene once before any again, in random order."""
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while True:
        now = phase()
        if len(order) < now.batch:
            order += rng.permutation(len(scenes)).tolist()
        chosen, order = order[: now.batch], order[now.batch :]
        made = [augment(scenes[i], now.crop_px, now.cell_px, rng) for i in chosen]
        yield Batch(to_input(np.stack([rgb for rgb, _ in made]), now.upscale), tuple(t for _, t in made))


def ahead(source: Iterator[Batch]) -> Generator[Batch, None, None]:
    """The same batches, made up to AHEAD early by a thread that ends when the iterator is closed."""
    ready: queue.Queue[Batch | BaseException] = queue.Queue(AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(source, ready, stop), daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _produce(source: Iterator[Batch], ready: queue.Queue[Batch | BaseException], stop: threading.Event) -> None:
    def put(item: Batch | BaseException) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    try:
        while not stop.is_set():
            put(next(source))
    except BaseException as error:
        put(error)
