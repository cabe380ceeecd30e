"""Name and peak memory of a torch device, asked of torch only if a model has imported it."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import sys
from typing import Any


def device_name(device: str) -> str | None:
    """Return the product name of a CUDA device, or None."""
    found = _properties(device)
    return None if found is None else str(found.name)


def device_uuid(device: str) -> str | None:
    """Return the UUID of a CUDA device, by which NVML finds it, or None."""
    found = getattr(_properties(device), "uuid", None)
    return None if found is None else str(found)


def device_peak(device: str, reset: bool = False) -> int | None:
    """Return the peak of the bytes that torch has allocated on a device since the last reset; None on the CPU.

    With `reset`, the next call returns the peak from now on.
    """
    module: Any = getattr(sys.modules.get("torch"), device.partition(":")[0], None)  # torch.cuda, torch.xpu, …
    if not hasattr(module, "max_memory_allocated"):
        return None
    peak = int(module.max_memory_allocated(device))
    if reset:
        module.reset_peak_memory_stats(device)
    return peak


def _properties(device: str) -> Any:
    torch: Any = sys.modules.get("torch")
    return torch.cuda.get_device_properties(device) if torch is not None and device.startswith("cuda") else None
