"""Batches as a function of the seed and the number of images before; prefetched by a thread."""

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

# In batches: enough to bridge an image that takes long, and little memory.
AHEAD = 3  # batches


@dataclass(frozen=True, eq=False)
class Batch:
    """One process's share of a step's batch.

    `pixels` (B, 3, h, w) float32, normalised; `targets` and `numbers`, one an image: `numbers` counts images from the
    start of training. `images` is the batch size of all processes, `seen` the number of images up to and including this
    step.
    """

    pixels: Tensor
    targets: tuple[TargetGrid, ...]
    numbers: tuple[int, ...]
    phase: Phase
    images: int
    seen: int


@dataclass(frozen=True, eq=False)
class Target:
    """TargetGrid as tensors on the device: `index` (P,) int64, `classes` (T,) int64, `boxes` (T, 4) float32."""

    index: Tensor
    classes: Tensor
    boxes: Tensor


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Images that go through the network together, on its device, and a random generator for them."""

    pixels: Tensor
    targets: tuple[Target, ...]
    phase: Phase
    generator: torch.Generator

    @property
    def input_px(self) -> tuple[int, int]:
        return int(self.pixels.shape[-2]), int(self.pixels.shape[-1])


def micro_batch(batch: Batch, images: Sequence[int], device: torch.device, seed: int) -> MicroBatch:
    """Move some images of a batch to the device. The generator is seeded from `seed` and the first image's number."""
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
    """Images of one process: every `world`-th of a batch from the `rank`-th on; targets in cells of `stride` px."""

    stride: int
    rank: int = 0
    world: int = 1


def batches(
    scenes: SampleCache, recipe: Recipe, feed: DataShard, seen: int, phase: Callable[[int, int], Phase], step: int
) -> Iterator[Batch]:
    """Yield batches endlessly, after `step` steps and `seen` images.

    Every epoch is a random permutation of the images. `phase(step, seen)` returns the phase of the next batch.
    """
    with ThreadPoolExecutor(max(1, recipe.workers)) as pool:
        while True:
            now = phase(step, seen)

            def make(number: int, now: Phase = now) -> tuple[Tensor, TargetGrid]:
                # By the number of the image and not by the thread: a resumed run draws what an uninterrupted one does.
                rng = np.random.default_rng([recipe.seed, 1, number])
                return augment(scenes.read(_scene(number, len(scenes), recipe.seed)), recipe, now, feed.stride, rng)

            numbers = range(seen + feed.rank, seen + now.batch, feed.world)
            made = list(map(make, numbers) if recipe.workers < 2 else pool.map(make, numbers))
            seen, step = seen + now.batch, step + 1
            pixels = torch.stack([pixels for pixels, _ in made])
            yield Batch(pixels, tuple(cells for _, cells in made), tuple(numbers), now, now.batch, seen)


def _scene(number: int, count: int, seed: int) -> int:
    epoch, place = divmod(number, count)
    return int(_order(seed, epoch, count)[place])


# Two, since a batch can reach from one epoch into the next.
@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)


def prefetch(source: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Yield the same batches, prepared up to AHEAD in advance by a thread, which ends when the generator is closed."""
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
                # With a timeout, since a put into a full queue would not see that the consumer has stopped.
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    # The setting is of the calling thread alone.
    torch.set_num_threads(1)
    try:
        while not stop.is_set():
            put(next(source))
    except BaseException as error:
        put(error)
