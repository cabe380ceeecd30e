"""The kind of device that a model runs on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def concrete_device(device: str) -> str:
    """Return a device as adapters are given it: "cuda" or "cpu" for `auto`, any other unchanged."""
    return device_kind(device) if device == "auto" else device


def device_kind(device: str, env: str | None = None) -> str:
    """Return the kind of device ("cpu", "cuda", …) of `auto`, `cpu`, `cuda:1` …: the part before the colon.

    `auto` imports torch to look for CUDA, unless the installed torch is a CPU build or missing. For a model with its
    own environment `env`, whose torch cannot be imported here, `auto` is "cuda" if the machine has an NVIDIA driver.
    """
    if device != "auto":
        return device.partition(":")[0]
    if env is not None:
        return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"
    try:
        # A CPU build of torch is recognised by its version, without importing it.
        if "torch" not in sys.modules and version("torch").endswith("+cpu"):
            return "cpu"
        import torch
    except (PackageNotFoundError, ImportError):
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def torch_thread_count(count: int) -> Iterator[bool]:
    """Set torch's number of threads inside the context. Yields False, and sets nothing, if torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield False
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield True
    finally:
        torch.set_num_threads(before)
