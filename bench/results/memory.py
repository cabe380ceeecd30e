"""Memory of the machine or of the container around this process, of devices, and of a process; in bytes."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
RESET_PEAK = "5"  # of /proc/PID/clear_refs, proc(5)


@dataclass(frozen=True)
class Memory:
    """Main memory ("mem") or that of a device.

    `free` could be allocated by this process now: caches that the system or torch gives back are in it. `process` is
    what this process has, None if unknown.
    """

    name: str
    total: int
    free: int
    process: int | None

    @property
    def used(self) -> int:
        return self.total - self.free

    def to_json(self) -> dict[str, Any]:
        return {"total": self.total, "free": self.free, "used": self.used, "process": self.process}


def machine_memory() -> Memory:
    """Return the memory of the machine, or of the control group around this process that has less left."""
    import psutil  # imported here, since quick commands do without it

    machine = psutil.virtual_memory()
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        own = ""
    limits = [(free, limit) for free, limit in cgroup_limits(own) if limit < machine.total]
    free, total = min([(machine.available, machine.total), *limits])
    return Memory("mem", total, free, psutil.Process().memory_info().rss)


def device_memories() -> list[Memory]:
    """Return the memory of the CUDA devices on which torch holds some in this process."""
    torch: Any = sys.modules.get("torch")
    # Without a context this process has no memory there, and the question would make one.
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        if reserved := int(torch.cuda.memory_reserved(index)):
            free, total = torch.cuda.mem_get_info(index)
            taken = int(torch.cuda.memory_allocated(index))
            # What torch has reserved and does not use is free for this process.
            found.append(Memory(f"cuda:{index}", int(total), int(free) + reserved - taken, taken))
    return found


def cgroup_limits(own: str, root: Path = CGROUPS) -> Iterator[tuple[int, int]]:
    """Yield free memory and limit of each control group around a process that has a limit, of version 1 or 2.

    `own` is the text of /proc/self/cgroup.
    """
    for line in own.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            place, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            place = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container, the path may be one of the host, where only the root of the mount is the container's own.
        below = Path(path.lstrip("/"))
        for folder in (place / below, *(place / parent for parent in below.parents)):
            with suppress(OSError, ValueError):  # no such group, or "max"
                limit, used = (int((folder / name).read_text()) for name in names[:2])
                statistics = (folder / "memory.stat").read_text().splitlines()
                cache = dict(entry.split() for entry in statistics).get(names[2], "0")
                # The kernel drops unused pages of files before it ends a process.
                yield max(0, limit - used + int(cache)), limit


def reset_process_peak(pid: int) -> bool:
    """Begin to measure the peak memory of a process. Return False if the system cannot: the peak is since its start."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def process_peak(pid: int) -> int | None:
    """Return the peak resident memory of a process since `reset_process_peak`, or None if it cannot be known."""
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    if pid != os.getpid():
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # in bytes on macOS, else in KiB
