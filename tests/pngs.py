"""PNGs of segment ids with the filter types that a test wants, and files that lie in memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Memory:
    """What readers use of a file."""

    name: str
    content: bytes

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    def __str__(self) -> str:
        return self.name

    def is_file(self) -> bool:
        return True

    def read_bytes(self) -> bytes:
        return self.content

    def open(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return io.BytesIO(self.content)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(ids: NDArray[Any], filters: Sequence[int] = (0,), idat: int = 1 << 16) -> bytes:
    """RGB8 of (H, W) ids; row y has filter type `filters[y % len(filters)]`, an IDAT chunk `idat` bytes."""
    height, width = ids.shape
    rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=-1).astype(np.int64)
    rows = [_filtered(rgb, y, filters[y % len(filters)]) for y in range(height)]
    stream = zlib.compress(b"".join(rows))
    parts = [chunk(b"IDAT", stream[k : k + idat]) for k in range(0, len(stream), idat)]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(parts) + chunk(b"IEND", b"")


def _filtered(rgb: NDArray[np.int64], y: int, kind: int) -> bytes:
    """Section 9 of the PNG specification."""
    row, above = rgb[y], rgb[y - 1] if y else np.zeros_like(rgb[0])
    left = np.concatenate([np.zeros((1, 3), np.int64), row[:-1]])
    corner = np.concatenate([np.zeros((1, 3), np.int64), above[:-1]])
    estimate = left + above - corner
    near = [np.abs(estimate - side) for side in (left, above, corner)]
    paeth = np.where((near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], above, corner))
    predicted = (np.zeros_like(row), left, above, (left + above) >> 1, paeth)[kind]
    return bytes([kind]) + ((row - predicted) & 255).astype(np.uint8).tobytes()
