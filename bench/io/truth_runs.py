"""Cache of the runs of ground-truth PNGs, so that a second model on the same truth does not decode them again.

One file for a batch of images, below `truth-runs` of the cache folder. An entry is found by the content of its PNG and
segments alone, so that a changed file has none. A cache that cannot be read or written is no error.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench._native import optional
from bench.io.files import cache_folder, read_bytes, write_atomic

LIMIT = 1 << 30  # bytes of all files; the oldest are deleted
FORMAT = 2  # goes up with every change of the files or of what the runs mean
LONG = 255  # px; lengths from here on are stored apart, since nearly all fit in a byte

crc32: Callable[[bytes, int], int] = optional("deflate", "crc32") or zlib.crc32


class TruthMap(NamedTuple):
    """Size (H, W) of a truth, its digest in image lines, and its runs: int32 (start, dense id), as bytes."""

    size: tuple[int, int]
    digest: str
    runs: bytes


class TruthRuns:
    """Cached maps of a batch of images, which `names` identify. `save` writes the file if an entry is new."""

    def __init__(self, names: Sequence[str]) -> None:
        name = hashlib.sha256(json.dumps([FORMAT, *names]).encode(errors="surrogatepass")).hexdigest()[:32]
        self._path = cache_folder() / "truth-runs" / name
        self._found, self._body = _read(self._path)
        self._used: dict[str, TruthMap] = {}
        self._changed = False

    @staticmethod
    def key(content: bytes, *segments: bytes) -> str:
        """Return the key of a PNG with its segments."""
        hasher = hashlib.sha256(content)
        for part in segments:
            hasher.update(b"%d " % len(part) + part)
        return hasher.hexdigest()

    def get(self, key: str) -> TruthMap | None:
        if (entry := self._found.get(key)) is None:
            return None
        height, width, digest, kind, count, long, offset = entry
        short = np.frombuffer(self._body, np.uint8, count, offset)
        ids = np.frombuffer(self._body, kind, count, offset + count)
        lengths = short.astype(np.int32)
        lengths[short == LONG] = np.frombuffer(self._body, "<i4", long, offset + count + ids.nbytes)
        runs = np.zeros((count, 2), dtype=np.int32)
        np.cumsum(lengths[:-1], out=runs[1:, 0])
        runs[:, 1] = ids
        self._used[key] = TruthMap((height, width), digest, runs.tobytes())
        return self._used[key]

    def add(self, key: str, found: TruthMap) -> None:
        self._used[key], self._changed = found, True

    def save(self) -> None:
        if not self._changed:
            return
        entries: dict[str, list[Any]] = {}
        parts, offset = [], 0
        for key, found in self._used.items():
            runs = np.frombuffer(found.runs, np.int32).reshape(-1, 2)
            lengths = np.diff(runs[:, 0], append=found.size[0] * found.size[1])
            kind, long = "u1" if runs[:, 1].max() < 1 << 8 else "<u2", lengths[lengths >= LONG].astype("<i4")
            entries[key] = [*found.size, found.digest, kind, len(runs), len(long), offset]
            columns = np.minimum(lengths, LONG).astype(np.uint8), runs[:, 1].astype(kind), long
            parts += [column.tobytes() for column in columns]
            offset += sum(column.nbytes for column in columns)
        body = b"".join(parts)
        head = json.dumps(entries).encode()
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomic(self._path) as temporary:
                temporary.write_bytes(b"%d %d\n" % (len(head), crc32(body, crc32(head, 0))) + head + body)


def prune() -> None:
    """Delete the oldest files beyond `LIMIT`."""
    with suppress(OSError):
        files = [(found.st_mtime, found.st_size, path) for path in (cache_folder() / "truth-runs").iterdir()
                 if (found := path.stat())]  # fmt: skip
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= LIMIT:
                return
            path.unlink(missing_ok=True)
            total -= size


def _read(path: Path) -> tuple[dict[str, list[Any]], memoryview]:
    """Return the entries of a file and its body; nothing if it is missing or damaged."""
    with suppress(OSError, ValueError):
        content = read_bytes(path)
        start = content.index(b"\n") + 1
        length, checksum = map(int, content[:start].split())
        if crc32(content[start:], 0) == checksum:
            return json.loads(content[start : start + length]), memoryview(content)[start + length :]
    return {}, memoryview(b"")
