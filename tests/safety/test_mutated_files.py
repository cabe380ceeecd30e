"""Thousands of files spoilt from a seed, through every door: refused with one clear error or read, nothing else."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType

import pytest
from doors import DOORS, Door
from evil import mutated
from sound import write

from bench.errors import BenchError

MUTATED_FILES = int(os.environ.get("BENCH_MUTATED_FILES", "10000"))
GROWTH_MB = 600
CPU_SECONDS = 20  # of this process, for one file: what takes longer hangs


class Hang(BaseException):
    """No Exception, so that nobody takes it for a broken file."""


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    def out_of_time(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, out_of_time)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def entered(door: Door, root: Path) -> tuple[str, str]:
    """`read`, `refused` or `broke`, and what was said."""
    try:
        with deadline(CPU_SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            door.enter(root)
    except BenchError as error:
        return "refused", str(error)
    except BaseException as error:
        return "broke", "".join(traceback.format_exception(error)[-3:])
    return "read", ""


def fuzz(door: Door, count: int, seed: int, root: Path) -> tuple[Counter[str], list[str]]:
    """How many files were refused and read, and the faults: a crash, a hang, an error that names no file."""
    rng = Random(f"{seed} {door.name}")
    sound = door.files()
    chosen = door.chosen()
    seen: Counter[str] = Counter()
    faults = []
    write(root, sound)
    for number in range(count):
        name = rng.choice(chosen)
        kind, spoilt = mutated(rng, Path(name).suffix, sound[name])
        (root / name).write_bytes(spoilt)
        outcome, said = entered(door, root)
        seen[outcome] += 1
        if outcome == "broke" or (outcome == "refused" and str(root) not in said and Path(name).stem not in said):
            faults.append(f"{door.name}: file {number}, {name}, {kind}: {said}")
        write(root, {name: sound[name]})
        for left in ("out", "drawn"):
            shutil.rmtree(root / left, ignore_errors=True)
    return seen, faults


@pytest.mark.parity
def test_mutated_files_are_refused_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.evaluation.session.provenance", lambda: {"git": None})  # asks git, a thousand times over
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total: Counter[str] = Counter()
    faults = []
    for door in DOORS:
        count = -(-MUTATED_FILES * door.share // sum(each.share for each in DOORS))
        seen, found = fuzz(door, count, 0, tmp_path / door.name)
        print(f"{door.name:28} {dict(seen)}")
        total += seen
        faults += found
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{total.total()} files: {dict(total)}")
    print(f"peak memory: {before / 1024:.0f} MB before, {growth:.0f} MB more")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:40])
    assert total.total() >= MUTATED_FILES
    assert growth < GROWTH_MB
