"""Files below a root folder, where a `.zip` may replace a folder: `val2017.zip/val2017/000000000139.jpg`.

`Member` has the part of the `Path` interface that readers use. An archive has one handle and a lock, since several
threads read from it. An archive inside an archive is unpacked on first use into an unnamed temporary file (in TMPDIR),
since a compressed one allows no random access.
"""

from __future__ import annotations

import io
import shutil
import stat
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from threading import RLock
from typing import IO, BinaryIO, TypeVar
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from bench.errors import DataError, first_duplicate
from bench.io import files

T = TypeVar("T")
# Limits of the size that a member declares. COCO's largest JSON has about a quarter of the first; the second is for an
# archive inside an archive.
MAX_MEMBER = 1 << 30
MAX_ARCHIVE = 1 << 36
# Deflate packs up to 1032 to 1, JSON and PNG far less; only members larger than SMALL are judged by the ratio.
SMALL, MAX_RATIO = 1 << 24, 100
# LZMA members state a dictionary size of up to gigabytes, which is allocated before anything is read.
METHODS = (ZIP_STORED, ZIP_DEFLATED)
# zipfile raises all of these for broken archives, depending on where the damage lies.
BROKEN = (
    BadZipFile, zlib.error, struct.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, IndexError,
    KeyError, OverflowError,
)  # fmt: skip


class Archive:
    """Zip file, opened on first use."""

    def __init__(self, path: File) -> None:
        self.path = path
        # One handle has one position. `read` holds the lock while it looks the member up, which takes it again.
        self._lock = RLock()
        self._unpacked: BinaryIO | None = None

    def __del__(self) -> None:
        if self._unpacked is not None:
            self._unpacked.close()

    @cached_property
    def members(self) -> dict[str, ZipInfo]:
        """Entries of all files by name. Raises DataError for repeated names and paths that leave the archive."""
        with self._lock:
            listed = [info for info in self._zip.infolist() if not info.is_dir()]
        found = {info.filename: info for info in listed}
        if (twice := first_duplicate(info.filename for info in listed)) is not None:
            raise DataError(f"{self.path}: holds {twice[:80]!r} twice; pack the archive again")
        outside = next((name for name in found if name.startswith("/") or ".." in PurePosixPath(name).parts), None)
        if outside is not None:
            raise DataError(f"{self.path}: holds {outside[:80]!r}, which leaves the archive; pack it again without")
        return found

    @cached_property
    def folders(self) -> set[str]:
        """Names of all folders; "." is the archive itself."""
        return {str(parent) for name in self.members for parent in PurePosixPath(name).parents}

    def read(self, name: str) -> bytes:
        """Return the content of a member, with its checksum verified."""
        with self._lock, self._open(name, MAX_MEMBER) as stream:
            return self._guarded(stream.read, name)

    def head(self, name: str, size: int) -> bytes:
        """Return the first bytes of a member, without verifying its checksum."""
        with self._lock, self._open(name, MAX_MEMBER) as stream:
            return self._guarded(partial(stream.read, size), name)

    def unpack(self, name: str, into: BinaryIO) -> None:
        with self._lock, self._open(name, MAX_ARCHIVE) as stream:
            self._guarded(partial(shutil.copyfileobj, stream, into, 1 << 20), name)

    @cached_property
    def _zip(self) -> ZipFile:
        path = self.path
        return self._guarded(lambda: _zip_at(path) if isinstance(path, Path) else self._inner(path))

    def _inner(self, member: Member) -> ZipFile:
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the archive)
        try:
            member.archive.unpack(member.inside, unpacked)
            opened = ZipFile(unpacked)
        except BaseException:
            unpacked.close()
            raise
        self._unpacked = unpacked
        return opened

    def _open(self, name: str, limit: int) -> IO[bytes]:
        """Open a member. Raise DataError if it is missing or cannot be read safely.

        Rejected are members that declare more than `limit` bytes, zip bombs, links and unusual compression methods.
        zipfile returns at most the declared number of bytes.
        """
        info = self.members.get(name)
        if info is None:
            raise DataError(f"{self.path}/{name}: there is no such file in the archive")
        if info.file_size > limit:
            raise DataError(f"{self.path}/{name}: declares {info.file_size} bytes, more than {limit}")
        if info.file_size > max(SMALL, MAX_RATIO * info.compress_size):
            raise DataError(
                f"{self.path}/{name}: {info.compress_size} bytes declare to be {info.file_size}, as a zip bomb does; "
                "if you trust it, unpack it"
            )
        # The upper half of external_attr is the Unix mode of the member.
        if stat.S_ISLNK(info.external_attr >> 16) or info.compress_type not in METHODS:
            raise DataError(
                f"{self.path}/{name}: is a link, or packed by method {info.compress_type}; pack the file itself, "
                "stored or deflated"
            )
        return self._guarded(lambda: self._zip.open(info), name)

    def _guarded(self, work: Callable[[], T], name: str = "") -> T:
        """Call `work` and turn any error of zipfile into a DataError."""
        try:
            return work()
        except FileNotFoundError:
            raise DataError(f"{self.path}: there is no such file") from None
        except BROKEN as error:
            where = f"{self.path}/{name}" if name else str(self.path)
            raise DataError(f"{where}: cannot be read from the zip ({error}); download the archive again") from None


def _zip_at(path: Path) -> ZipFile:
    files.check_regular(path, limit=1 << 62)
    return ZipFile(path)


@dataclass(frozen=True, eq=False)
class Member:
    """File or folder in an archive, with the part of the `Path` interface that readers use."""

    archive: Archive
    inside: str  # "" is the archive itself

    def __str__(self) -> str:
        return f"{self.archive.path}/{self.inside}" if self.inside else str(self.archive.path)

    def __truediv__(self, name: str) -> Member:
        return Member(self.archive, str(PurePosixPath(self.inside) / name))

    @property
    def name(self) -> str:
        return PurePosixPath(self.inside).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.inside).stem

    def is_file(self) -> bool:
        return self.inside in self.archive.members

    def is_dir(self) -> bool:
        return (self.inside or ".") in self.archive.folders

    def read_bytes(self) -> bytes:
        return self.archive.read(self.inside)

    def head(self, size: int) -> bytes:
        return self.archive.head(self.inside, size)

    def checksum(self) -> str:
        """Return CRC-32 and size as listed in the archive, without unpacking; "absent" if there is no such member."""
        info = self.archive.members.get(self.inside)
        return "absent" if info is None else f"crc32 {info.CRC:08x} {info.file_size}"

    def read_text(self, encoding: str) -> str:
        return self.read_bytes().decode(encoding)

    def open(self, mode: str) -> IO[bytes]:
        assert mode == "rb", "archives are only read"
        return io.BytesIO(self.read_bytes())


File = Path | Member


def locate(root: Path, place: str) -> File:
    """Return `place` below `root`, where a component ending in .zip is an archive. Existence is not checked."""
    found: File = root
    for part in PurePosixPath(place).parts:
        found = found / part
        if part.endswith(".zip"):
            found = Member(Archive(found), "")
    return found


def exists(file: File) -> bool:
    """Return whether a file or folder exists. Members of a missing archive do not."""
    if isinstance(file, Member):
        return exists(file.archive.path) and (not file.inside or file.is_file() or file.is_dir())
    try:
        return file.exists()
    except OSError:
        # A name can be too long for the file system.
        return False


def files_in(folder: File) -> list[str]:
    """Return the sorted names of the files directly in a folder."""
    if isinstance(folder, Path):
        return sorted(path.name for path in folder.iterdir() if path.is_file())
    paths = (PurePosixPath(name) for name in folder.archive.members)
    return sorted(path.name for path in paths if str(path.parent) == (folder.inside or "."))
