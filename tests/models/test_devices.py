"""Which device is taken, and which is refused, on machines that a test makes up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.errors import ModelError
from bench.models import devices

torch = pytest.importorskip("torch")


@pytest.fixture(params=["cuda", "mps", "xpu", None])
def accelerator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The kind of the one accelerator of this machine, or None."""
    kind: str | None = request.param
    monkeypatch.setattr("torch.accelerator.is_available", lambda: kind is not None)
    found = None if kind is None else SimpleNamespace(type=kind)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda: found)
    if kind is not None:
        monkeypatch.setattr(f"torch.{kind}.device_count", lambda: 2)
    monkeypatch.setattr(devices, "version", lambda name: "2.13.0")
    return kind


def test_auto_is_what_is_there(accelerator: str | None) -> None:
    expected = accelerator or "cpu"
    assert devices.device_kind("auto") == devices.concrete_device("auto") == devices.pick_device("auto") == expected


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_only_what_is_there_is_taken(accelerator: str | None, kind: str) -> None:
    assert devices.pick_device("cpu") == "cpu"
    if kind == accelerator:
        assert devices.pick_device(kind) == kind and devices.pick_device(f"{kind}:1") == f"{kind}:1"
        for absent in (f"{kind}:2", f"{kind}:x"):
            with pytest.raises(ModelError, match=f"--device {absent}: torch sees 2 {kind.upper()} devices"):
                devices.pick_device(absent)
    else:
        remedy = f"use --device {accelerator} or cpu" if accelerator else "use --device cpu"
        with pytest.raises(ModelError, match=f"no {kind.upper()} device here; {remedy}"):
            devices.pick_device(f"{kind}:0")


def test_older_versions_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("torch.accelerator")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert devices.pick_device("auto") == "cuda"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"), True),
        (RuntimeError("XPU out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("Native API failed. Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
        (MemoryError(), True),
        (ModelError("OutOfMemoryError: from a worker"), True),
        (RuntimeError("an illegal memory access was encountered"), False),
        (KeyError("memory"), False),
    ],
)
def test_errors_of_missing_memory(error: Exception, expected: bool) -> None:
    assert devices.is_out_of_memory(error) == expected


def test_tensors_of_the_cpu_stay_there() -> None:
    tensors: list[Any] = [torch.ones(2), torch.zeros(3)]
    with devices.own_stream("cpu"):
        found = devices.to_device(tensors, "cpu")
    assert all(a is b for a, b in zip(found, tensors, strict=True))
    devices.synchronize("cpu")
    assert devices.memory_limit("cpu") is devices.peak_memory("cpu") is None
