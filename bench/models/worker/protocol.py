"""Messages between a run and a worker: magic, lengths, JSON header, raw arrays, trailer. No pickle. Python 3.9.

The trailer is a CRC of the header. It detects output that a framework writes to the message pipe by mistake: bytes
inserted into an array would be read as pixels, but they shift the trailer.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import RawIOBase
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\xf5PBW"  # no text in UTF-8 holds the first byte, so that prints cannot look like a frame
PROTOCOL = 1
PREFIX = struct.Struct("<IQ")  # bytes of the header, bytes of all arrays
TRAILER = struct.Struct("<I")
HEADER_LIMIT = 1 << 26
ARRAYS_LIMIT = 1 << 34
NOISE_LIMIT = 1 << 16


class ProtocolError(Exception):
    """The received bytes are not a valid message."""


@dataclass(frozen=True, eq=False)
class Message:
    """`header` is JSON-ready; `arrays` are numeric arrays of any shape."""

    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write_frame(stream: RawIOBase, frame: Message) -> None:
    """Write a message to an unbuffered stream. Raises OSError if the pipe is broken."""
    arrays = {name: np.ascontiguousarray(array) for name, array in frame.arrays.items()}
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = json.dumps({"header": dict(frame.header), "arrays": layout}).encode()
    size = sum(array.nbytes for array in arrays.values())
    _write(stream, memoryview(MAGIC + PREFIX.pack(len(header), size) + header))
    for array in arrays.values():
        _write(stream, _bytes_of(array))
    _write(stream, memoryview(TRAILER.pack(zlib.crc32(header))))


def _write(stream: RawIOBase, data: memoryview) -> None:
    while data:
        data = data[stream.write(data) or 0 :]


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def read_frame(stream: RawIOBase, *, skip_noise: bool = False) -> Message | None:
    """Read the next message; None if the stream ends before it. Raises ProtocolError for any other content.

    `skip_noise` skips up to 64 KiB of other bytes before the message, such as output at interpreter start.
    """
    start = bytearray(len(MAGIC))
    if not _fill(stream, memoryview(start), may_end=True):
        return None
    if start != MAGIC:
        if not skip_noise:
            raise ProtocolError(f"noise among the frames: {bytes(start)!r}")
        if not _skip_to_magic(stream, bytes(start)):
            return None
    header_size, size = PREFIX.unpack(_exactly(stream, PREFIX.size))
    if header_size > HEADER_LIMIT or size > ARRAYS_LIMIT:
        raise ProtocolError(f"a frame of {header_size} + {size} bytes")
    text = _exactly(stream, header_size)
    header, layout = _parsed(text)
    arrays = {name: np.empty(shape, dtype=dtype) for name, dtype, shape in layout}
    if sum(array.nbytes for array in arrays.values()) != size:
        raise ProtocolError("a frame whose arrays are not as long as it says")
    for array in arrays.values():
        _fill(stream, _bytes_of(array))
    if TRAILER.unpack(_exactly(stream, TRAILER.size)) != (zlib.crc32(text),):
        raise ProtocolError("a frame with something else inside, or with a broken header")
    return Message(header, arrays)


def _skip_to_magic(stream: RawIOBase, window: bytes) -> bool:
    for _ in range(NOISE_LIMIT):
        byte = stream.read(1)
        if not byte:
            return False
        window = window[1:] + byte
        if window == MAGIC:
            return True
    raise ProtocolError(f"more than {NOISE_LIMIT} bytes of noise before the first frame")


def _parsed(text: bytearray) -> tuple[dict[str, Any], list[tuple[str, np.dtype[Any], tuple[int, ...]]]]:
    """Return the header, and (name, dtype, shape) of every array. Raises ProtocolError for non-numeric dtypes."""
    try:
        content = json.loads(text)
        layout = [(str(name), np.dtype(dtype), tuple(map(int, shape))) for name, dtype, shape in content["arrays"]]
        header = dict(content["header"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolError(f"a frame with a broken header ({type(error).__name__})") from None
    for name, dtype, shape in layout:
        if dtype.kind not in "biuf" or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > ARRAYS_LIMIT:
            raise ProtocolError(f"a frame with an array {name!r} of {dtype} {shape}")
    return header, layout


def _exactly(stream: RawIOBase, size: int) -> bytearray:
    data = bytearray(size)
    _fill(stream, memoryview(data))
    return data


def _fill(stream: RawIOBase, target: memoryview, *, may_end: bool = False) -> bool:
    done = 0
    while done < len(target):
        count = stream.readinto(target[done:])
        if not count:
            if may_end and done == 0:
                return False
            raise ProtocolError("the stream ended inside a frame")
        done += count
    return True
