"""Batches, each a function of the seed and of how many images came before; made ahead by a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.training.data.augment import augment
from bench.training.data.scenes import SampleCache, TargetGrid
from bench.training.recipe import Phase, Recipe

AHEAD = 3  # batches


@dataclass(frozen=True, eq=False)
class Batch:
    """What a process takes of a step's batch: `pixels` (B, 3, h, w) float32, normalised; the targets of each.

    `numbers` are the places of these in the whole training; `images` counts the batch of all processes, `seen` what
    all steps up to and with this one took.
    """

    pixels: Tensor
    targets: tuple[TargetGrid, ...]
    numbers: tuple[int, ...]
    phase: Phase
    images: int
    seen: int


@dataclass(frozen=True, eq=False)
class Target:
    """Cells as tensors on the device: `index` (P,) int64, `classes` (T,) int64, `boxes` (T, 4) float32."""

    index: Tensor
    classes: Tensor
    boxes: Tensor


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Images that go through the network together, on its device, and a source of random numbers for them."""

    pixels: Tensor
    targets: tuple[Target, ...]
    phase: Phase
    generator: torch.Generator

    @property
    def input_px(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.pixels.shape[-2]), int(self.pixels.shape[-1])


def micro_batch(batch: Batch, images: Sequence[int], device: torch.device, seed: int) -> MicroBatch:
    """Some images of a batch. What its generator draws depends on `seed` and on which images they are."""
    chosen = list(images)
    seed = int(np.random.SeedSequence([seed, 2, batch.numbers[chosen[0]]]).generate_state(1)[0])
    targets = tuple(_on(batch.targets[i], device) for i in chosen)
    generator = torch.Generator(device).manual_seed(seed)
    return MicroBatch(batch.pixels[chosen].to(device, non_blocking=True), targets, batch.phase, generator)


def _on(cells: TargetGrid, device: torch.device) -> Target:
    arrays = (cells.index, cells.classes, cells.boxes)
    return Target(*(torch.from_numpy(array).to(device, non_blocking=True) for array in arrays))


@dataclass(frozen=True)
class DataShard:
    """Who is fed: cells of `stride` px, and every `world`-th image of a batch from the `rank`-th on."""

    stride: int
    rank: int = 0
    world: int = 1


def batches(
    scenes: SampleCache, recipe: Recipe, feed: DataShard, seen: int, phase: Callable[[int, int], Phase], step: int
) -> Iterator[Batch]:
    """Endless batches from the step after `step` on, before which `seen` images came: every scene once before
    any again. `phase` is asked with the step and the images before it."""
    with ThreadPoolExecutor(max(1, recipe.workers)) as pool:
        while True:
            now = phase(step, seen)

            def make(number: int, now: Phase = now) -> tuple[Tensor, TargetGrid]:
                rng = np.random.default_rng([recipe.seed, 1, number])
                return augment(scenes.read(_scene(number, len(scenes), recipe.seed)), recipe, now, feed.stride, rng)

            numbers = range(seen + feed.rank, seen + now.batch, feed.world)
            made = list(map(make, numbers) if recipe.workers < 2 else pool.map(make, numbers))
            seen, step = seen + now.batch, step + 1
            pixels = torch.stack([pixels for pixels, _ in made])
            yield Batch(pixels, tuple(cells for _, cells in made), tuple(numbers), now, now.batch, seen)


def _scene(number: int, count: int, seed: int) -> int:
    """Which of `count` scenes the `number`-th image of a training shows."""
    epoch, place = divmod(number, count)
    return int(_order(seed, epoch, count)[place])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def prefetch(source: Iterator[Batch]) -> Generator[Batch, None, None]:
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

    torch.set_num_threads(1)  # it counts for the calling thread alone
    try:
        while not stop.is_set():
            put(next(source))
    except BaseException as error:
        put(error)
