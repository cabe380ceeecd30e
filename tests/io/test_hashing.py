"""Digests of files are those of their bytes, cached or not."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

from bench.errors import ModelError
from bench.io import hashing
from bench.io.archive import locate
from bench.io.hashing import ABSENT, FileDigests, folder_digest


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as long unchanged."""
    path = tmp_path / "data" / "a.bin"
    path.parent.mkdir()
    path.write_text("one", encoding="utf-8")
    monkeypatch.setattr(hashing, "RECENT_NS", -(10**12))
    return path


def hashed(cache: Path, *files: Path) -> tuple[list[str], int]:
    """The digests, and how many files were read for them."""
    read = []
    found = FileDigests(cache).of(files, lambda done, total: read.append(done))
    return found, len(read)


def test_a_file_that_did_not_change_is_not_read_again(file: Path, tmp_path: Path) -> None:
    assert hashed(tmp_path / "cache", file) == ([sha("one")], 1)
    assert hashed(tmp_path / "cache", file) == ([sha("one")], 0)


def test_other_bytes_of_the_same_size_and_time_are_seen(file: Path, tmp_path: Path) -> None:
    before = file.stat()
    hashed(tmp_path / "cache", file)
    file.write_text("two", encoding="utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert hashed(tmp_path / "cache", file) == ([sha("two")], 1)


def test_another_file_in_its_place_is_seen(file: Path, tmp_path: Path) -> None:
    hashed(tmp_path / "cache", file)
    other = file.with_name("b.bin")
    other.write_text("two", encoding="utf-8")
    other.replace(file)
    assert hashed(tmp_path / "cache", file)[0] == [sha("two")]


def test_what_changed_just_now_is_not_cached(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_text("one", encoding="utf-8")
    future = time.time() + 3600  # the clock of a file server may be ahead
    os.utime(path, (future, future))
    for _ in range(2):
        assert hashed(tmp_path / "cache", path) == ([sha("one")], 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folder": 3, "files": {}}', '{"files": {"a.bin": 1}}', "null"])
def test_a_broken_cache_is_none(file: Path, tmp_path: Path, text: str) -> None:
    hashed(tmp_path / "cache", file)
    (stored,) = (tmp_path / "cache").glob("*.json")
    stored.write_text(text, encoding="utf-8")
    assert hashed(tmp_path / "cache", file) == ([sha("one")], 1)


def test_a_cache_that_cannot_be_written_costs_time_alone(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    assert hashed(tmp_path / "cache", file) == ([sha("one")], 1)


def test_what_is_no_readable_file_is_absent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert hashed(tmp_path / "cache", tmp_path / "none", tmp_path, tmp_path / "pipe")[0] == [ABSENT] * 3


def test_a_member_of_an_archive_is_known_by_its_checksum(tmp_path: Path) -> None:
    digests = []
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        with ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("x/y.png", text)
        digests += FileDigests(tmp_path / "cache").of([locate(tmp_path, f"{name}.zip/x/y.png")])
    assert digests[0] == digests[1] != digests[2]
    assert not (tmp_path / "cache").exists()
    assert FileDigests(tmp_path / "cache").of([locate(tmp_path, "a.zip/x/none.png")]) == [ABSENT]


def test_a_cache_holds_one_table_a_folder(file: Path, tmp_path: Path) -> None:
    second = file.with_name("b.bin")
    second.write_text("two", encoding="utf-8")
    hashed(tmp_path / "cache", file)
    hashed(tmp_path / "cache", second)
    (stored,) = (tmp_path / "cache").glob("*.json")
    table = json.loads(stored.read_text("utf-8"))
    assert table["folder"] == str(file.parent) and set(table["files"]) == {"a.bin", "b.bin"}


def test_a_folder_of_twenty_gigabytes_asks_for_its_files(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as sparse:
        sparse.truncate(21_000_000_000)
    (tmp_path / "w.bin").write_text("w", encoding="utf-8")
    with pytest.raises(ModelError, match=r"2 files of 21 GB.*`files:`"):
        folder_digest(tmp_path)
    assert len(folder_digest(tmp_path, ["w.bin"])) == 64


def test_linked_folders_are_hashed_and_circles_end(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "x.bin").write_text("one", encoding="utf-8")
    (tmp_path / "w" / "link").symlink_to(tmp_path / "away", target_is_directory=True)
    (tmp_path / "away" / "back").symlink_to(tmp_path / "w", target_is_directory=True)
    before = folder_digest(tmp_path / "w")
    (tmp_path / "away" / "x.bin").write_text("two", encoding="utf-8")
    assert folder_digest(tmp_path / "w") != before


def test_folders_that_are_not_the_models_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_text("w", encoding="utf-8")
    before = folder_digest(tmp_path, exclude=[tmp_path / "data"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.png").write_text("x", encoding="utf-8")
    assert folder_digest(tmp_path, exclude=[tmp_path / "data"]) == before != folder_digest(tmp_path)
