"""The memory that training takes, and how many images of it fit."""

from __future__ import annotations

import resource
from typing import Protocol

import torch

SAFE = 0.9  # of the free memory: neighbours on a shared device take some, and blocks of it are lost between others


def peak_mb(device: torch.device) -> float:
    """The most that was in use so far, MB: of the device, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def fitting(free: int, each: int, most: int) -> int:
    """How many images of `each` bytes fit into `free` bytes: at least one, at most `most`."""
    return max(1, min(most, int(SAFE * free) // max(1, each)))


class Meter(Protocol):
    """Bytes of a device's memory."""

    def start(self) -> None:
        """What is in use from now on is compared with now."""

    def taken(self) -> int:
        """The most that came on top since the start."""

    def free(self) -> int:
        """What could come on top of what was in use at the start."""


class CudaMeter:
    """The memory of a CUDA device, which others may share."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.base = device, 0

    def start(self) -> None:
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        self.base = torch.cuda.memory_allocated(self.device)

    def taken(self) -> int:
        return int(torch.cuda.max_memory_allocated(self.device)) - self.base

    def free(self) -> int:
        unclaimed, _ = torch.cuda.mem_get_info(self.device)
        return int(unclaimed) + int(torch.cuda.memory_reserved(self.device)) - self.base
