"""SHA-256 of files and folders, cached by path, size, inode and times.

A cached digest is used if size, inode, mtime and ctime (nanoseconds) are unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from bench.errors import ModelError
from bench.io.archive import Member
from bench.io.files import cache_folder, check_regular, read_bytes, write_atomic
from bench.parallel import batches, ordered_map
from bench.types import ProgressCallback, Readable

# File systems store times with a resolution of up to two seconds (FAT).
RECENT_NS = 2_000_000_000
MAX_FILE = 1 << 36  # bytes
MAX_FOLDER = 20_000_000_000  # bytes of weights that are hashed unasked
ABSENT = "absent"

Stamp = tuple[int, int, int, int]  # size, inode, mtime, ctime


class FileDigests:
    """SHA-256 of files, with a cache of one JSON file for each folder of hashed files."""

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache or cache_folder() / "digests"
        self._folders: dict[str, dict[str, Any]] = {}  # folder → name → [*Stamp, digest]
        self._changed: set[str] = set()
        self._stamps: dict[str, Stamp | None] = {}
        self._existing: dict[str, bool] = {}  # folder → whether it is there, during one call of `of`

    def changed(self, files: Sequence[Readable]) -> list[str]:
        """Return the files that were written, replaced or removed since `of` returned their digest."""
        paths = [path for path in dict.fromkeys(map(str, files)) if path in self._stamps]
        return [path for path in paths if _stamp_of(path) != self._stamps[path]]

    def of(self, files: Sequence[Readable], on_file: ProgressCallback | None = None) -> list[str]:
        """Return the digest of each file, in order.

        The digest of an archive member is its CRC and size. That of anything but a readable regular file is "absent".
        `on_file(done, total)` is called after each file that is read.
        """
        paths = [str(file) for file in files]
        self._existing = {}
        found = {path: self._known(file) for path, file in dict(zip(paths, files, strict=True)).items()}
        unknown = [path for path, digest in found.items() if digest is None]
        # hashlib releases the GIL, so that threads hash in parallel; a small file is too short for a task of its own.
        threads = min(8, os.cpu_count() or 1)
        size = max(1, min(16, len(unknown) // (8 * threads)))
        some = ordered_map(_digests, batches(unknown, size), threads)
        computed = chain.from_iterable(some)
        for done, (path, (digest, stamp, settled)) in enumerate(zip(unknown, computed, strict=True), 1):
            found[path] = digest
            self._stamps[path] = stamp
            if settled and stamp is not None:
                folder, name = os.path.split(os.path.abspath(path))
                self._table(folder)[name] = [*stamp, digest]
                self._changed.add(folder)
            if on_file:
                on_file(done, len(unknown))
        self._save()
        return [str(found[path]) for path in paths]

    def _known(self, file: Readable) -> str | None:
        """Return the digest of an archive member, or the cached one of an unchanged file, else None."""
        if isinstance(file, Member):
            return file.checksum()
        folder, name = os.path.split(os.path.abspath(str(file)))
        entry = self._table(folder).get(name)
        if entry is None:
            # Predictions without semantic maps have no folder of them: no file there needs to be looked for.
            if self._exists(folder):
                return None
            self._stamps[str(file)] = None
            return ABSENT
        stamp = _stamp_of(str(file))
        if stamp is None or list(stamp) != entry[:4]:
            return None
        self._stamps[str(file)] = stamp
        return str(entry[4])

    def _exists(self, folder: str) -> bool:
        if folder not in self._existing:
            self._existing[folder] = os.path.exists(folder)
        return self._existing[folder]

    def _table(self, folder: str) -> dict[str, Any]:
        if folder not in self._folders:
            self._folders[folder] = _read_table(self._place(folder), folder)
        return self._folders[folder]

    def _place(self, folder: str) -> Path:
        return self._cache / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"

    def _save(self) -> None:
        """Write the changed tables. Errors are ignored, since the cache is optional."""
        with suppress(OSError):
            for folder in self._changed:
                self._cache.mkdir(parents=True, exist_ok=True)
                with write_atomic(self._place(folder)) as temporary:
                    text = json.dumps({"folder": folder, "files": self._folders[folder]})
                    temporary.write_text(text, encoding="utf-8")
        self._changed.clear()


def _read_table(place: Path, folder: str) -> dict[str, Any]:
    """Return the cached entries of a folder, or {} if its cache file is missing or broken."""
    try:
        stored = json.loads(read_bytes(place))
        files: dict[str, Any] = stored["files"]
        if stored["folder"] == folder and all(isinstance(entry, list) and len(entry) == 5 for entry in files.values()):
            return files
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _stamp_of(path: str) -> Stamp | None:
    try:
        return _stamp(os.stat(path))
    except (OSError, ValueError):
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _digests(files: Sequence[str]) -> list[tuple[str, Stamp | None, bool]]:
    return [_digest(Path(file)) for file in files]


def _digest(file: Path) -> tuple[str, Stamp | None, bool]:
    """Return the SHA-256 (hex) of a file, its stamp, and whether it is unchanged for long enough to be cached."""
    now = time.time_ns()
    try:
        check_regular(file, MAX_FILE)
        with file.open("rb") as stream:
            before = _stamp(os.fstat(stream.fileno()))
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = _stamp(os.fstat(stream.fileno()))
    except OSError:
        return ABSENT, _stamp_of(str(file)), False
    # A file written within the resolution of its times could change again and keep them: git's racily clean entries.
    settled = before == after and now - max(after[2], after[3]) >= RECENT_NS
    return digest, before, settled


def files_digest(named: Sequence[tuple[str, Readable]], digests: FileDigests) -> str:
    """Return the SHA-256 (hex) of (name, file) pairs, in any order."""
    found = digests.of([file for _, file in named])
    text = json.dumps(sorted((name, digest) for (name, _), digest in zip(named, found, strict=True)))
    return hashlib.sha256(text.encode()).hexdigest()


def folder_digest(
    folder: Path, files: Sequence[str] = (), exclude: Collection[Path] = (), digests: FileDigests | None = None
) -> str:
    """Return the SHA-256 (hex) of a file, or of the listed files (default: all) of a folder with their names.

    Without a list, hidden files, `__pycache__`, subfolders that hold a run.json, and `exclude` are skipped. Raise
    ModelError if no file is left, a listed file is missing, or the unlisted files have more than 20 GB.
    """
    if folder.is_file():
        return files_digest([(folder.name, folder)], digests or FileDigests())
    named = [(name, folder / name) for name in files] or list(_files_below(folder, exclude))
    missing = [file for _, file in named if not file.is_file()]
    if missing:
        raise ModelError(f"{missing[0]}: there is no such file; `files:` of the checkpoint lists it")
    if not named:
        raise ModelError(
            f"{folder}: no file of weights here; copy them there, list them under `files:` of the checkpoint, or write "
            "`weights: none` if the model has none"
        )
    size = sum(file.stat().st_size for _, file in named)
    if size > MAX_FOLDER and not files:
        raise ModelError(
            f"{folder}: {len(named)} files of {size / 1e9:.0f} GB lie here; list those that the model reads under "
            "`files:` of the checkpoint"
        )
    return files_digest(named, digests or FileDigests())


def _files_below(folder: Path, exclude: Collection[Path]) -> Iterator[tuple[str, Path]]:
    """Yield (name below the folder, file). Linked folders are followed, each once."""
    left_out = {os.path.realpath(path) for path in exclude}
    # Linked folders can form a circle.
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered or (place != str(folder) and (real in left_out or "run.json" in names)):
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            file = Path(place, name)
            if not name.startswith(".") and file.is_file() and os.path.realpath(file) not in left_out:
                yield file.relative_to(folder).as_posix(), file
