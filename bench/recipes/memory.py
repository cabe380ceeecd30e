"""The memory that training takes, and how many images of it fit."""

from __future__ import annotations

import resource

import torch


def peak_mb(device: torch.device) -> float:
    """The most that was in use so far, MB: of the device, or of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
