"""Lines on memory: of the machine or its container, and of the devices that this process uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.results.memory import Memory

LOW = 0.05  # share of the memory that is free
EVERY = 1.0  # seconds between two readings: each takes about a millisecond
REMEDY = "end other processes, or take a smaller --batch-size or fewer --workers"


def memories() -> list[Memory]:
    """Return the memory of the machine, then that of the devices on which this process has some."""
    from bench.results.memory import device_memories, machine_memory

    return [machine_memory(), *device_memories()]


def memory_line(total: int, free: int, used: int, process: int | None) -> str:
    """Return all of a memory in bytes: "25.0 GB total, 21.3 free, 3.7 used, 0.1 by this process"."""
    by = "" if process is None else f", {_gb(process)} by this process"
    return f"{_gb(total)} GB total, {_gb(free)} free, {_gb(used)} used{by}"


def memory_note(found: Sequence[Memory]) -> str:
    """Return memory in short: "mem 3.7 of 25.0 GB, this process 0.1; cuda:0 …"."""
    return "; ".join(
        f"{one.name} {_gb(one.used)} of {_gb(one.total)} GB, this process {_gb(one.process or 0)}" for one in found
    )


def memory_watch(
    warn: Callable[[str], object],
    read: Callable[[], Sequence[Memory]] = memories,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[], str]:
    """Return a function that returns `memory_note`, read at most once a second.

    Where less than LOW is free, `warn` is called, once for each memory.
    """
    note, due, warned = "", clock(), set[str]()

    def watch() -> str:
        nonlocal note, due
        if clock() >= due:
            due = clock() + EVERY
            found = read()
            note = memory_note(found)
            for one in found:
                if one.free < LOW * one.total and one.name not in warned:
                    warned.add(one.name)
                    warn(f"WARNING: memory runs low: {one.name} {memory_line(**one.to_json())}; {REMEDY}")
        return note

    return watch


def _gb(count: int) -> str:
    value = count / 1e9
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
