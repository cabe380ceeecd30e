"""Which kind of device a model runs on."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def device_kind(device: str, env: str | None = None) -> str:
    """The kind of device that `auto`, `cpu`, `cuda:1` … means here: the part of its name before the number.

    torch is imported where it could find a device; a build for the CPU alone tells so by its version. For a model in an
    environment `env` of its own, whose torch is another, an NVIDIA driver on the machine decides.
    """
    if device != "auto":
        return device.partition(":")[0]
    if env is not None:
        return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"
    try:
        if "torch" not in sys.modules and version("torch").endswith("+cpu"):
            return "cpu"
        import torch
    except (PackageNotFoundError, ImportError):
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
