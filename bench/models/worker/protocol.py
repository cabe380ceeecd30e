"""Messages between a run and a worker: a JSON header, then the bytes of each array."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.
# No pickle: unpickling runs whatever the other side sends.

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROTOCOL = 2
HEADER_LIMIT = 1 << 26
ARRAY_LIMIT = 1 << 34


class ProtocolError(Exception):
    """What was received is not a valid message."""


@dataclass(frozen=True, eq=False)
class Message:
    """`header` is JSON-ready; `arrays` are numeric arrays of any shape."""

    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write_message(pipe: Connection, message: Message) -> None:
    """Write a message. Raises OSError if the pipe is broken."""
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    layout = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    pipe.send_bytes(json.dumps({"header": dict(message.header), "arrays": layout}).encode())
    for array in arrays.values():
        pipe.send_bytes(array.reshape(-1).view(np.uint8).data)


def read_message(pipe: Connection) -> Message:
    """Wait for the next message. Raises EOFError if the pipe was closed, ProtocolError for any other content."""
    try:
        header, layout = _parsed(pipe.recv_bytes(HEADER_LIMIT))
        arrays = {name: _read_array(pipe, dtype, shape) for name, dtype, shape in layout}
    except OSError as error:
        raise ProtocolError(str(error)) from None
    return Message(header, arrays)


def _read_array(pipe: Connection, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    size = math.prod(shape) * dtype.itemsize
    # recv_bytes raises OSError for a longer message before it reads it.
    content = bytearray(pipe.recv_bytes(size))
    if len(content) != size:
        raise ProtocolError(f"an array of {len(content)} bytes in the place of {size}")
    return np.ndarray(shape, dtype, content)


def _parsed(text: bytes) -> tuple[dict[str, Any], list[tuple[str, np.dtype[Any], tuple[int, ...]]]]:
    """Return the header, and (name, dtype, shape) of every array. Raises ProtocolError for non-numeric dtypes."""
    try:
        content = json.loads(text)
        layout = [(str(name), np.dtype(dtype), tuple(map(int, shape))) for name, dtype, shape in content["arrays"]]
        header = dict(content["header"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolError(f"a message with a broken header ({type(error).__name__})") from None
    for name, dtype, shape in layout:
        if dtype.kind not in "biuf" or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > ARRAY_LIMIT:
            raise ProtocolError(f"a message with an array {name!r} of {dtype} {shape}")
    return header, layout
