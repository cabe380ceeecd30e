"""Gradient accumulation over micro-batches, threads and processes; micro-batch size from the free memory.

On the CPU every thread has a replica of the model with shared weights and its own gradients. Threads and processes
synchronise once a step.
"""

# Once a step: threads that synchronise in every operation are slow on a busy machine, and a process that runs out of
# memory in the middle of a step would leave the others waiting.

from __future__ import annotations

import math
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bench.errors import ModelError, UsageError
from bench.training.data.batches import Batch, micro_batch

# Share of the free memory that is used: neighbours on a shared device take some, and some is lost to fragmentation.
SAFE = 0.9


def peak_mb(device: torch.device) -> float:
    """Return the peak memory so far in MB: allocated on a CUDA device, or resident memory of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def batch_that_fits(free: int, each: int, most: int) -> int:
    """Return how many images of `each` bytes fit into `free` bytes, with a margin: at least one, at most `most`."""
    return max(1, min(most, int(SAFE * free) // max(1, each)))


class Meter(Protocol):
    """Memory meter of a device, in bytes."""

    def start(self) -> None:
        """Take the memory in use now as the baseline."""

    def peak(self) -> int:
        """Return the peak above the baseline since `start`."""

    def free(self) -> int:
        """Return how much can be allocated above the baseline."""


class CudaMeter:
    """Memory meter of a CUDA device, which may be shared with other processes."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.base = device, 0

    def start(self) -> None:
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        self.base = torch.cuda.memory_allocated(self.device)

    def peak(self) -> int:
        return int(torch.cuda.max_memory_allocated(self.device)) - self.base

    def free(self) -> int:
        unclaimed, _ = torch.cuda.mem_get_info(self.device)
        return int(unclaimed) + int(torch.cuda.memory_reserved(self.device)) - self.base


Notify = Callable[[str], None]


@dataclass(eq=False)
class Engine:
    """Model, replicas and settings for computing the gradients of a step.

    `replicas` share the weights of `model`; without replication the only one is `model` itself. `micro_batch_size`
    images go through a replica together, None for all. While `probing`, a step runs single images, and
    `micro_batch_size` is set from the memory that `meter` measures.
    """

    accelerator: Any
    model: Any
    replicas: Sequence[Any]
    pool: ThreadPoolExecutor
    seed: int
    micro_batch_size: int | None
    notify: Notify
    meter: Meter | None = None
    probing: bool = False

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device


@contextmanager
def crop_errors(batch: Batch) -> Iterator[None]:
    """Turn the error of a network whose coarsest map of a crop is one pixel into a UsageError."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):  # torch's normalisations
            raise
        height, width = batch.pixels.shape[-2:]
        raise UsageError(
            f"one crop of {height}x{width} px is too small for this network, whose coarsest map of it is one pixel; "
            "raise phases.crop_px or upscale"
        ) from None


def gradients(engine: Engine, batch: Batch) -> dict[str, float]:
    """Compute the mean gradients of a batch in the model; return the mean of each loss term.

    If any process runs out of memory, the step is repeated with half the micro-batch size. Raises ModelError if a
    single image does not fit.
    """
    if engine.probing and engine.meter is not None:
        engine.micro_batch_size = 1
        engine.meter.start()
    while True:
        try:
            with crop_errors(batch):
                sums, exhausted = _local(engine, batch), False
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            sums, exhausted = {}, True
        # Every process repeats the step if one of them ran out of memory, or their gradients would be of different
        # batches.
        if not _any(engine, exhausted):
            _settle(engine, batch)
            return _gathered(engine, sums, batch)
        _back_off(engine, batch)


def _settle(engine: Engine, batch: Batch) -> None:
    """Set the micro-batch size from the memory measured in a step of single images."""
    if not engine.probing or engine.meter is None:
        return
    engine.probing, most = False, math.ceil(len(batch.targets) / len(engine.replicas))
    each, free = engine.meter.peak(), engine.meter.free()
    engine.micro_batch_size = batch_that_fits(free, each, most)
    engine.notify(
        f"an image takes {each / 1e6:.0f} MB and {free / 1e6:.0f} MB are free: "
        f"{engine.micro_batch_size} of {most} at once"
        + ("" if engine.micro_batch_size == most else f", the batch stays {batch.images} by accumulation")
    )


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether the error is out of memory: CUDA's has its own type, the CPU allocator's only a message."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _back_off(engine: Engine, batch: Batch) -> None:
    largest = math.ceil(len(batch.targets) / len(engine.replicas))
    before = min(engine.micro_batch_size or largest, largest)
    if before <= 1:
        height, width = batch.pixels.shape[-2:]
        raise ModelError(
            f"out of memory with one image of {height}x{width} px at a time; lower phases.crop_px or longest_edge, "
            "take a smaller network, or free memory on the device"
        )
    engine.micro_batch_size = before // 2
    for model in (engine.model, *engine.replicas):
        model.zero_grad(set_to_none=True)
    if engine.device.type == "cuda":
        torch.cuda.empty_cache()
    engine.notify(
        f"out of memory with {before} images at once; going on with {engine.micro_batch_size} at once, "
        f"the batch stays {batch.images} by accumulation"
    )


def _local(engine: Engine, batch: Batch) -> dict[str, float]:
    """Compute the gradients of this process's images in the model; return the sum of each loss term."""
    cut = np.array_split(np.arange(len(batch.targets)), len(engine.replicas))
    shares = [share.tolist() for share in cut if len(share)]
    used = engine.replicas[: len(shares)]
    if len(used) == 1:
        sums = [_accumulate(engine, used[0], batch, shares[0])]
    else:
        work = lambda model, share: _accumulate(engine, model, batch, share)  # noqa: E731
        sums = list(engine.pool.map(work, used, shares))
    if used[0] is not engine.model:
        _add_up(engine.model, used)
        _share_statistics(engine.model, engine.replicas, len(used))
    return {name: sum(one[name] for one in sums) for name in sums[0]}


def _add_up(model: Any, replicas: Sequence[Any]) -> None:
    for mine, *theirs in zip(model.parameters(), *(m.parameters() for m in replicas), strict=True):
        there = [p.grad for p in theirs if p.grad is not None]
        mine.grad = torch.stack(there).sum(0) if there else None


@torch.no_grad()
def _share_statistics(model: Any, replicas: Sequence[Any], used: int) -> None:
    """Average the batch-norm statistics of the first `used` replicas, and copy them to the model and all replicas."""
    for mine, *theirs in zip(model.buffers(), *(m.buffers() for m in replicas), strict=True):
        # Only the replicas that had images have new statistics; counters of batches are integers.
        mine.copy_(torch.stack(theirs[:used]).mean(0) if mine.is_floating_point() else theirs[0])
        for buffer in theirs:
            buffer.copy_(mine)


def _accumulate(engine: Engine, model: Any, batch: Batch, share: list[int]) -> dict[str, float]:
    """Accumulate the gradients of the images `share` in `model`; return the sum of each loss term."""
    if len(engine.replicas) > 1:
        # The setting is of the calling thread alone.
        torch.set_num_threads(1)
    model.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    step = engine.micro_batch_size or len(share)
    for start in range(0, len(share), step):
        images = share[start : start + step]
        now = micro_batch(batch, images, engine.device, engine.seed)
        with engine.accelerator.autocast():
            terms = model(now)
        loss = torch.stack(list(terms.values())).sum()
        # Each part counts by its images, so that the sum is the gradient of the mean over the whole batch.
        engine.accelerator.backward(loss * (len(images) / batch.images))
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(images)
    return sums


def _any(engine: Engine, exhausted: bool) -> bool:
    if engine.accelerator.num_processes == 1:
        return exhausted
    flag = torch.tensor([float(exhausted)], device=engine.device)
    return bool(engine.accelerator.reduce(flag, "sum").item())


def _gathered(engine: Engine, sums: dict[str, float], batch: Batch) -> dict[str, float]:
    """Sum gradients and terms over all processes, average batch-norm statistics; return the mean of each term."""
    if engine.accelerator.num_processes > 1:
        # A parameter without a gradient in this process may have one in another; all must send tensors of one length.
        learning = [p for p in engine.model.parameters() if p.requires_grad]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        for parameter, total in zip(learning, _reduced(engine, grads, "sum"), strict=True):
            parameter.grad = total
        statistics = [buffer for buffer in engine.model.buffers() if buffer.is_floating_point()]
        for buffer, mean in zip(statistics, _reduced(engine, statistics, "mean"), strict=True):
            buffer.copy_(mean)
        values: Tensor = torch.tensor(list(sums.values()), device=engine.device)
        sums = dict(zip(sums, engine.accelerator.reduce(values, "sum").tolist(), strict=True))
    return {name: value / batch.images for name, value in sums.items()}


def _reduced(engine: Engine, tensors: Sequence[Tensor], how: str) -> list[Tensor]:
    """Reduce each tensor over all processes in one message; `how` is "sum" or "mean"."""
    if not tensors:
        return []
    # One message for all tensors: the latency of hundreds would take longer than their bytes.
    flat = engine.accelerator.reduce(torch.cat([tensor.flatten() for tensor in tensors]), how)
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [piece.view_as(tensor) for piece, tensor in zip(parts, tensors, strict=True)]
