"""Cached runs of the truth: the same lines from them, none of a changed or damaged file, no error without a cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_forked import forks, scored, write

from bench.io import png_runs, truth_runs
from bench.io.coco_writer import write_panoptic
from bench.types import Panoptic, SegmentInfo

pytestmark = pytest.mark.skipif(not png_runs.available(), reason="the kernel was not compiled here")
__all__ = ["forks"]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: list[int]) -> Path:
    """The files of the cache after a first model; they are in a folder of this test."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    write(tmp_path, 7)
    scored(tmp_path, "first", workers=2)
    return tmp_path / "cache" / "truth-runs"


def entries(folder: Path) -> int:
    return sum(len(truth_runs._read(path)[0]) for path in folder.iterdir())


def test_a_second_model_has_the_same_lines(tmp_path: Path, kept: Path) -> None:
    assert entries(kept) == 7
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert scored(tmp_path, "second", workers=2) == scored(tmp_path, "alone", workers=1)
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before


def test_a_changed_truth_is_decoded(tmp_path: Path, kept: Path) -> None:
    ids = np.random.default_rng(9).integers(1, 3, (6, 8)).astype(np.int32)
    write_panoptic(tmp_path / "gt" / "3.png", Panoptic(ids, (SegmentInfo(1), SegmentInfo(2))))
    assert scored(tmp_path, "second", workers=2) == scored(tmp_path, "alone", workers=1)


def test_a_damaged_or_missing_cache_is_none(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in kept.iterdir():
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert entries(kept) == 0
    assert scored(tmp_path, "second", workers=2) == scored(tmp_path, "alone", workers=1)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    assert scored(tmp_path, "third", workers=2) == scored(tmp_path, "alone", workers=1)


def test_the_oldest_files_are_deleted(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept / "new").write_bytes(bytes(100))
    monkeypatch.setattr(truth_runs, "LIMIT", 100)
    truth_runs.prune()
    assert [path.name for path in kept.iterdir()] == ["new"]
