"""Messages: what goes in comes out, and nothing else is a message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

from bench.models.worker.protocol import Message, ProtocolError, read_message, write_message

ARRAYS = {
    "rgb": np.arange(60, dtype=np.uint8).reshape(4, 5, 3),
    "turned": np.arange(12, dtype=np.int32).reshape(3, 4).T,
    "empty": np.zeros((0, 3), dtype=np.float32),
    "flags": np.array([True, False]),
}


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """The reading and the writing end of a pipe."""
    reader, writer = Pipe(duplex=False)
    with reader, writer:
        yield reader, writer


def test_header_and_arrays_come_back(ends: tuple[Connection, Connection]) -> None:
    reader, writer = ends
    write_message(writer, Message({"id": 3, "x": [1.5, None, "ß"]}, ARRAYS))
    write_message(writer, Message({"id": 4}))
    writer.close()
    first, second = read_message(reader), read_message(reader)
    assert first.header == {"id": 3, "x": [1.5, None, "ß"]}
    assert second.header == {"id": 4} and second.arrays == {}
    for name, array in ARRAYS.items():
        assert first.arrays[name].dtype == array.dtype and first.arrays[name].flags.writeable
        np.testing.assert_array_equal(first.arrays[name], array)
    with pytest.raises(EOFError):
        read_message(reader)


@pytest.mark.parametrize(
    "layout",
    [
        [["a", "|O", [1]]],
        [["a", "<U2", [1]]],
        [["a", "<f8", [-1]]],
        [["a", "<f8", [2]]],
        [["a", "<f4", [1]]],
        [["a", "<f8", [1 << 40]]],
        [["a", "no type", [1]]],
        [["a", "<f8"]],
        "arrays",
        None,
    ],
)
def test_a_layout_that_is_not_plain_numbers_is_refused(ends: tuple[Connection, Connection], layout: Any) -> None:
    reader, writer = ends
    writer.send_bytes(json.dumps({"header": {}, "arrays": layout}).encode())
    writer.send_bytes(bytes(8))
    with pytest.raises(ProtocolError):
        read_message(reader)


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"header": {}}', b"\xff"])
def test_a_header_that_is_none_is_refused(ends: tuple[Connection, Connection], content: bytes) -> None:
    reader, writer = ends
    writer.send_bytes(content)
    with pytest.raises(ProtocolError, match="broken header"):
        read_message(reader)
