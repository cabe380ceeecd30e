"""Columns of stored lines come back from the cache as they were read, and never in place of other lines."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from scenes import SPACE, drawn_line

from bench.errors import DataError, UsageError
from bench.metrics.columns import Columns
from bench.results import columns as stored_columns
from bench.results.columns import read_columns, to_frame
from bench.results.line_digests import json_line, lines_digest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "columns"


def written(path: Path, lines: list[dict]) -> Path:
    path.write_text("".join(json_line(line) + "\n" for line in lines), encoding="utf-8")
    return path


def assert_same(one: object, other: object) -> None:
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, tuple) and not all(isinstance(name, str) for name in one):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


LINES = [drawn_line(k) | {"image_id": f"{k}\0 é"} for k in range(12)]


def test_the_cache_gives_the_columns_of_the_lines(tmp_path: Path, cache: Path) -> None:
    path = written(tmp_path / "lines.jsonl", LINES)
    first, second = read_columns(path, SPACE), read_columns(path, SPACE)
    (file,) = cache.iterdir()
    assert file.suffix == ".npz"
    assert_same(first, second)
    assert_same(first.columns, Columns.of(LINES, SPACE))
    assert first.sha256 == lines_digest(LINES)
    file.unlink()
    nothing = read_columns(written(tmp_path / "empty.jsonl", []), SPACE)
    assert nothing.columns.image_ids == () and not len(nothing.columns.pairs.pixels)
    assert_same(nothing, read_columns(tmp_path / "empty.jsonl", SPACE))


def test_changed_lines_are_read_anew(tmp_path: Path) -> None:
    path = written(tmp_path / "lines.jsonl", LINES)
    read_columns(path, SPACE)
    stamp = path.stat()
    other = read_columns(written(path, LINES[::-1]), SPACE)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert other.columns.image_ids == read_columns(path, SPACE).columns.image_ids
    assert other.columns.image_ids == tuple(line["image_id"] for line in LINES[::-1])


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut", None])
def test_a_broken_cache_file_is_replaced(tmp_path: Path, cache: Path, content: bytes | None) -> None:
    path = written(tmp_path / "lines.jsonl", LINES)
    first = read_columns(path, SPACE)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if content is None else content)
    assert_same(first, read_columns(path, SPACE))
    assert_same(first, stored_columns._load(file))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, cache: Path) -> None:
    cache.parent.write_text("a file in place of the folder")
    assert read_columns(written(tmp_path / "lines.jsonl", LINES), SPACE).columns.image_ids


def test_the_cache_is_bounded(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_columns, "MOST_BYTES", 1)
    for k in range(3):
        read_columns(written(tmp_path / f"{k}.jsonl", LINES[k : k + 2]), SPACE)
        assert len(list(cache.glob("*.npz"))) == 1


def test_a_broken_line_is_not_kept(tmp_path: Path, cache: Path) -> None:
    path = written(tmp_path / "lines.jsonl", [LINES[0], {"image_id": "bad", "overlap": {}}])
    for _ in range(2):
        with pytest.raises(DataError, match="image 'bad'"):
            read_columns(path, SPACE)
    assert not cache.exists()


def test_frames_hold_the_rows_of_the_lines(tmp_path: Path) -> None:
    semantic_alone = {"image_id": "labels", "group": "", "overlap": None, "semantic": []}
    columns = read_columns(written(tmp_path / "lines.jsonl", [semantic_alone, *LINES]), SPACE).columns
    frames = {table: to_frame(columns, table) for table in ("truth", "predicted", "pairs")}
    listed = [(line["image_id"], line["group"], line["overlap"]) for line in LINES]
    for table in ("truth", "predicted"):
        rows = frames[table][["image_id", "group", "segment", "category_id", "area"]].itertuples(index=False)
        assert [tuple(row) for row in rows] == [
            (name, group, n, s[1], s[2]) for name, group, stored in listed for n, s in enumerate(stored[table], 1)
        ]
    rows = frames["pairs"][["image_id", "truth", "predicted", "pixels"]].itertuples(index=False)
    assert [tuple(row) for row in rows] == [(name, *pair) for name, _, stored in listed for pair in stored["pairs"]]
    with pytest.raises(UsageError, match="they are classes, truth, predicted and pairs"):
        to_frame(columns, "rows")  # type: ignore[arg-type]
