"""Overlap of two panoptic PNGs from their runs, without decoding to arrays. Equals `Overlap.of` on every input.

A C kernel turns a map into runs, and joins the runs of two maps. It accepts only 8 bit RGB PNGs, not interlaced, with
valid checksums and every id listed. For other files, or without the compiled kernel, `join` returns None, and the
caller decodes the PNGs to arrays, which also reports errors.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from bench._native import optional
from bench.errors import DataError
from bench.io import files
from bench.io.archive import File
from bench.io.coco import PanopticFile
from bench.io.images import MAX_FILE, check_png_size
from bench.io.segments_info import Infos
from bench.io.truth_runs import TruthMap, TruthRuns, crc32
from bench.overlap import Overlap
from bench.types import SegmentInfo

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Bit depth 8, color type 2 (RGB), deflate, adaptive filters, not interlaced: the last five bytes of IHDR.
PLAIN = b"\x08\x02\x00\x00\x00"

Rows = tuple[int, int, bytes | bytearray]  # height, width (px), the inflated data of the PNG


@dataclass(frozen=True, eq=False)
class Joined:
    """Overlap of two files, and the digest of the truth."""

    overlap: Overlap
    truth: str


# glibc returns large blocks to the system when they are freed, and faulting their pages in again costs more than
# inflating into them. Freeing a block raises its threshold (M_MMAP_THRESHOLD is dynamic): smaller ones are kept.
np.empty(31 << 20, dtype=np.uint8)

_runs, _join = optional("bench._native._png_runs", "runs"), optional("bench._native._png_runs", "join")
_libdeflate = optional("deflate", "zlib_decompress")


def available() -> bool:
    return _join is not None


def join(truth: PanopticFile, prediction: PanopticFile, cache: TruthRuns | None = None) -> Joined | None:
    """Return the overlap of two files of one image, or None if they have to be decoded to arrays."""
    if _join is None:
        return None
    try:
        made, meant = prediction.infos(), truth.infos()
        # Inflated rows are freed before the next are made, which then lie in the same memory, near the processor.
        p, t = _map(_content(prediction.png), made), _truth(truth, meant, cache)
    except (DataError, OSError, ValueError):
        # Decoding to arrays meets the same fault and reports it in its usual order.
        return None
    if p is None or t is None or p[0] != t.size:
        return None
    height, width = t.size
    table = _join(t.runs, p[1], len(meant), len(made), height * width)
    if table is None:
        return None
    overlap = Overlap.of_table(
        tuple(meant.values()), tuple(made.values()), np.frombuffer(table, np.int64).reshape(-1, 3)
    )
    if not all(s.area and s.declared_area != 0 for s in overlap.truth) or not all(s.area for s in overlap.predicted):
        return None
    return Joined(overlap, t.digest)


def panoptic_digest(size: tuple[int, int], infos: Sequence[SegmentInfo], runs: NDArray[np.int32]) -> str:
    """Return 16 hex digits that identify a panoptic truth."""
    return _digest(size, _segments_json(infos), runs.astype("<i4").tobytes())


def _segments_json(infos: Iterable[SegmentInfo]) -> bytes:
    # Scores and source ids are left out: they do not change a score.
    segments = [[s.category_id, s.iscrowd, s.declared_area] for s in infos]
    # The two write fractions differently.
    if all(type(area) is int or area is None for _, _, area in segments):
        return orjson.dumps(segments)
    return json.dumps(segments, separators=(",", ":"), allow_nan=False).encode()


def _digest(size: tuple[int, int], segments: bytes, runs: bytes) -> str:
    # Runs of equal ids are far fewer than pixels.
    hasher = hashlib.blake2b(b"[[%d,%d],%b]" % (*size, segments), digest_size=8)
    hasher.update(runs)
    return hasher.hexdigest()


def _truth(truth: PanopticFile, infos: Infos, cache: TruthRuns | None) -> TruthMap | None:
    content, segments = _content(truth.png), _segments_json(infos.values())
    key = "" if cache is None else cache.key(content, np.fromiter(infos, np.int32).tobytes(), segments)
    if cache is not None and (known := cache.get(key)) is not None:
        return known
    if (found := _map(content, infos)) is None:
        return None
    size, runs = found
    made = TruthMap(size, _digest(size, segments, np.frombuffer(runs, np.int32).astype("<i4").tobytes()), runs)
    if cache is not None:
        cache.add(key, made)
    return made


def _content(png: File) -> bytes:
    return files.read_bytes(png, MAX_FILE) if isinstance(png, Path) else png.read_bytes()


def _map(content: bytes, infos: Infos) -> tuple[tuple[int, int], bytes] | None:
    """Return size and runs of a PNG, or None if the kernel does not support it."""
    assert _runs is not None
    if (found := _rows(content)) is None:
        return None
    height, width, rows = found
    runs = _runs(rows, np.fromiter(infos, dtype=np.int32), height, width)
    return None if runs is None else ((height, width), runs)


def _rows(content: bytes) -> Rows | None:
    """Return the filtered rows of a PNG, or None if the kernel does not support it."""
    if content[:8] != SIGNATURE or content[24:29] != PLAIN:
        return None
    check_png_size(content)
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    stream = _stream(content)
    if not stream or not height or not width:
        return None
    rows = _inflated(stream, height * (3 * width + 1))
    return None if rows is None else (height, width, rows)


def _stream(content: bytes) -> bytes | None:
    """Return the IDAT data, or None unless the chunks are IHDR, IDAT ..., IEND with valid checksums."""
    names, parts, at = [], [], len(SIGNATURE)
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if int.from_bytes(content[end : end + 4], "big") != crc32(content[at + 4 : end], 0):
            return None
        names.append(content[at + 4 : at + 8])
        parts.append(content[at + 8 : end])
        at = end + 4
    plain = names == [b"IHDR", *[b"IDAT"] * (len(names) - 2), b"IEND"]
    if at != len(content) or not plain or len(parts[0]) != 13 or parts[-1]:
        return None
    return parts[1] if len(parts) == 3 else b"".join(parts[1:-1])


def _inflated(stream: bytes, size: int) -> bytes | bytearray | None:
    """Return `size` inflated bytes, or None if the stream is invalid or has another length."""
    if _libdeflate is not None:
        try:
            rows: bytes | bytearray = _libdeflate(stream, size)
        except Exception:
            # The package deflate raises an exception class of its own.
            return None
        return rows if len(rows) == size else None
    inflater = zlib.decompressobj()
    try:
        # One byte more than declared is enough to see that a stream is too long, without inflating a bomb.
        rows = inflater.decompress(stream, size + 1)
    except zlib.error:
        return None
    return rows if len(rows) == size and inflater.eof else None
