"""Energy and memory of NVIDIA devices by NVML, from the optional package nvidia-ml-py (module pynvml)."""

from __future__ import annotations

from collections.abc import Callable

from bench.results.memory import Memory

NOT_INSTALLED = "needs nvidia-ml-py: pip install 'panoptic-bench[energy]'"


def energy_counter(uuid: str | None) -> tuple[Callable[[], float] | None, str]:
    """Return a function that reads the joules of a device, or None and the reason. Only differences have a meaning.

    `uuid` is that of `device_uuid`, None for a device that is not NVIDIA's. The joules are those of the whole board,
    whichever process uses it.
    """
    if uuid is None:
        return None, "needs an NVIDIA device"
    try:
        import pynvml
    except ModuleNotFoundError:
        return None, NOT_INSTALLED
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)  # older boards have no such counter
    except pynvml.NVMLError as error:
        return None, f"is not known to NVML ({error})"
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000, ""  # the counter has millijoules


def nvidia_memories() -> tuple[list[Memory], str]:
    """Return the memory of all NVIDIA devices, without torch, or [] and the reason."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return [], NOT_INSTALLED
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        found = [(pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetMemoryInfo(handle)) for handle in handles]
    except pynvml.NVMLError as error:
        return [], f"not known to NVML ({error})"
    return [Memory(str(name), int(memory.total), int(memory.free), None) for name, memory in found], ""
