"""The device that a model runs on: the kind that is there, its name, streams and memory.

Kinds are those of `torch.accelerator`: "cuda" (also ROCm), "mps", "xpu"; and "cpu".
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.errors import ModelError

STREAMS = ("cuda", "xpu")  # kinds that compute and copy on several streams


def concrete_device(device: str) -> str:
    """Return a device as adapters are given it: the kind that is there for `auto`, any other unchanged."""
    return device_kind(device) if device == "auto" else device


def device_kind(device: str, env: str | None = None) -> str:
    """Return the kind of device ("cpu", "cuda", …) of `auto`, `cpu`, `cuda:1` …: the part before the colon.

    `auto` imports torch to look for an accelerator, unless the installed torch is a CPU build or missing. For a model
    with its own environment `env`, whose torch cannot be imported here, `auto` is "cuda" if the machine has an NVIDIA
    driver.
    """
    if device != "auto":
        return device.partition(":")[0]
    if env is not None:
        return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"
    try:
        # A CPU build of torch is recognised by its version, without importing it.
        if "torch" not in sys.modules and version("torch").endswith("+cpu"):
            return "cpu"
        return _accelerator() or "cpu"
    except (PackageNotFoundError, ImportError):
        return "cpu"


def pick_device(device: str) -> str:
    """Return the torch device; `auto` is the accelerator that is there. Raises ModelError if one is asked that is not.

    Torch is imported.
    """
    kind, _, number = device.partition(":")
    found = _accelerator()
    if kind == "auto":
        return found or "cpu"
    if kind == "cpu":
        return device
    remedy = f"use --device {found} or cpu" if found else "use --device cpu"
    if kind != found:
        raise ModelError(f"--device {device}: torch sees no {kind.upper()} device here; {remedy}")
    if number and not (number.isdecimal() and int(number) < _backend(kind).device_count()):
        raise ModelError(f"--device {device}: torch sees {_backend(kind).device_count()} {kind.upper()} devices here")
    return device


def _accelerator() -> str | None:
    """Return the kind of accelerator that torch can use here, or None."""
    import torch

    # Older versions of torch, in workers of other frameworks, lack torch.accelerator.
    if not hasattr(torch, "accelerator"):
        return "cuda" if torch.cuda.is_available() else None
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return None if found is None else str(found.type)


def _backend(kind: str) -> Any:
    """Return the module of a kind, such as `torch.cuda`. Their functions have the same names where they exist."""
    import torch

    return getattr(torch, kind)


def device_name(device: str) -> str | None:
    """Return the product name of an accelerator; None for the CPU, and where torch has no name or is not imported."""
    name = getattr(_imported_backend(device), "get_device_name", None)
    return None if name is None else str(name(device))


def device_uuid(device: str) -> str | None:
    """Return the UUID of a CUDA device, by which NVML finds it, or None."""
    properties = getattr(_imported_backend(device), "get_device_properties", None)
    found = None if properties is None else getattr(properties(device), "uuid", None)
    return None if found is None else str(found)


def device_peak(device: str, reset: bool = False) -> int | None:
    """Return the peak of the bytes that torch has allocated on a device since the last reset; None on the CPU.

    With `reset`, the next call returns the peak from now on.
    """
    backend = _imported_backend(device)
    if not hasattr(backend, "max_memory_allocated"):
        return None
    peak = int(backend.max_memory_allocated(device))
    if reset:
        backend.reset_peak_memory_stats(device)
    return peak


def _imported_backend(device: str) -> Any:
    """Return the module of a device, such as `torch.cuda`, or None: adapters without torch need not import it."""
    return getattr(sys.modules.get("torch"), device.partition(":")[0], None)


def synchronize(device: str) -> None:
    """Wait for all queued work of a device. Nothing is queued on the CPU."""
    kind = device.partition(":")[0]
    if kind in STREAMS:
        _backend(kind).synchronize(device)
    elif kind != "cpu":
        _backend(kind).synchronize()


@contextmanager
def own_stream(device: str) -> Iterator[None]:
    """Queue the work inside on a stream of its own, beside the network, and wait for it at the end.

    Without effect where there are no streams. Tensors that come from the main stream must be finished.
    """
    if device.partition(":")[0] not in STREAMS:
        yield
        return
    backend = _backend(device.partition(":")[0])
    stream = backend.Stream(device)
    with backend.stream(stream):
        try:
            yield
        finally:
            # Memory that was used here may be given to another stream next.
            stream.synchronize()


def to_device(tensors: Any, device: str) -> list[Any]:
    """Return tensors of the CPU on a device. The copies run beside its computations, and are complete on return."""
    kind = device.partition(":")[0]
    if kind not in STREAMS:
        return [tensor.to(device) for tensor in tensors]
    with own_stream(device):
        # The driver copies pageable memory by way of a pinned buffer of its own, and the caller waits meanwhile.
        return [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]


def memory_limit(device: str) -> int | None:
    """Return the bytes that this process can use on an accelerator: what it has, and what is free; None if unknown."""
    kind = device.partition(":")[0]
    if kind in STREAMS:
        return int(_backend(kind).mem_get_info(device)[0]) + int(_backend(kind).memory_reserved(device))
    return int(_backend(kind).recommended_max_memory()) if kind == "mps" else None


def peak_memory(device: str) -> int | None:
    """Return the most bytes that this process has held on an accelerator at once, its cache included; None if unknown.

    On "mps" these are the bytes that it holds now: its cache does not shrink.
    """
    kind = device.partition(":")[0]
    if kind in STREAMS:
        return int(_backend(kind).max_memory_reserved(device))
    return int(_backend(kind).driver_allocated_memory()) if kind == "mps" else None


def empty_cache(device: str) -> None:
    """Give the memory that torch caches back to the device."""
    if (kind := device.partition(":")[0]) != "cpu":
        _backend(kind).empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is one of missing memory: on any device, on the CPU, or in a worker, which sends text."""
    text = f"{type(error).__name__}: {error}".lower()
    # "can't allocate memory" is that of torch on the CPU.
    return isinstance(error, MemoryError) or any(
        part in text for part in ("out of memory", "outofmemoryerror", "can't allocate memory", "out_of_device_memory")
    )


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
