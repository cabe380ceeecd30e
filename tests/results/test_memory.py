"""Memory: the control group that runs dry first, devices, and the peak of a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bench.results.memory import Memory, cgroup_limits, device_memories, machine_memory, process_peak


def group(folder: Path, names: tuple[str, str], limit: object, used: int, cache: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{cache}\nslab 3\n")


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
V2 = ("memory.max", "memory.current")


def test_every_group_around_the_process_counts(tmp_path: Path) -> None:
    group(tmp_path / "user" / "job", V2, "max", 10, "inactive_file 0")
    group(tmp_path / "user", V2, 1000, 900, "inactive_file 200")
    group(tmp_path / "other", V2, 1, 1, "inactive_file 0")
    assert list(cgroup_limits("0::/user/job\n", tmp_path)) == [(300, 1000)]


def test_groups_of_version_1(tmp_path: Path) -> None:
    group(tmp_path / "memory", V1, 9223372036854771712, 50, "total_inactive_file 0")
    group(tmp_path / "memory" / "job", V1, 400, 100, "total_inactive_file 20")
    own = "9:name=systemd:/\n4:cpu,memory:/job\n0::/\n"
    assert next(cgroup_limits(own, tmp_path)) == (320, 400)


def test_in_a_container_the_path_of_the_host_is_not_there(tmp_path: Path) -> None:
    group(tmp_path, V2, 500, 600, "inactive_file 0")
    assert list(cgroup_limits("0::/../../docker/0123\n0::/docker/0123\n", tmp_path))[-1] == (0, 500)
    assert list(cgroup_limits("", tmp_path)) == []


@pytest.mark.parametrize(
    ("limits", "expected"),
    [([], (1000, 400)), ([(300, 500)], (500, 300)), ([(450, 500)], (1000, 400)), ([(10, 10**18)], (1000, 400))],
)
def test_what_runs_dry_first_is_told(
    limits: list[tuple[int, int]], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1000, available=400))
    monkeypatch.setattr("bench.results.memory.cgroup_limits", lambda own: iter(limits))
    found = machine_memory()
    assert (found.total, found.free) == expected and found.used == found.total - found.free
    assert found.process is not None and found.process > 1e6


def test_devices_with_memory_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for torch.cuda: no CUDA device was at hand."""
    cuda = SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 2, memory_reserved=[0, 500].__getitem__,
        memory_allocated=[0, 300].__getitem__, mem_get_info=lambda index: (100, 1000),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert device_memories() == [Memory("cuda:1", 1000, 300, 300)]
    cuda.is_initialized = lambda: False
    assert device_memories() == []
    monkeypatch.setitem(sys.modules, "torch", None)
    assert device_memories() == []


def test_the_peak_of_another_process_is_known_or_none() -> None:
    own = process_peak(os.getpid())
    assert own is not None and own > 1e6
    assert process_peak(2**30) is None
