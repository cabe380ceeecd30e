"""Frames: what goes in comes out, and nothing else is a frame."""

from __future__ import annotations

import io
import json
import random
import zlib
from typing import Any

import numpy as np
import pytest

from bench.models.worker.protocol import (
    MAGIC,
    NOISE_LIMIT,
    PREFIX,
    TRAILER,
    Message,
    ProtocolError,
    read_frame,
    write_frame,
)


class Pipe(io.RawIOBase):
    """An unbuffered stream in memory that gives and takes a few bytes at a time, as pipes may."""

    def __init__(self, content: bytes = b"", step: int = 7) -> None:
        self.content, self.step = bytearray(content), step

    def readinto(self, target: Any) -> int:
        count = min(len(target), self.step, len(self.content))
        target[:count] = self.content[:count]
        del self.content[:count]
        return count

    def readable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += data[: self.step]
        return min(len(data), self.step)


def written(frame: Message) -> bytes:
    pipe = Pipe(step=11)
    write_frame(pipe, frame)
    return bytes(pipe.content)


ARRAYS = {
    "rgb": np.arange(60, dtype=np.uint8).reshape(4, 5, 3),
    "turned": np.arange(12, dtype=np.int32).reshape(3, 4).T,
    "empty": np.zeros((0, 3), dtype=np.float32),
    "flags": np.array([True, False]),
}


def test_header_and_arrays_come_back() -> None:
    pipe = Pipe(written(Message({"id": 3, "x": [1.5, None, "ß"]}, ARRAYS)) + written(Message({"id": 4})))
    first, second = read_frame(pipe), read_frame(pipe)
    assert first is not None and second is not None
    assert first.header == {"id": 3, "x": [1.5, None, "ß"]}
    assert second.header == {"id": 4} and second.arrays == {}
    for name, array in ARRAYS.items():
        assert first.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(first.arrays[name], array)
    assert read_frame(pipe) is None


def test_noise_before_the_first_frame_is_passed_over_when_asked() -> None:
    noise = b"Loading plugins \xf5\xf5P\n"
    frame = read_frame(Pipe(noise + written(Message({"id": 1}))), skip_noise=True)
    assert frame is not None and frame.header == {"id": 1}
    with pytest.raises(ProtocolError, match="noise"):
        read_frame(Pipe(noise + written(Message({"id": 1}))))
    assert read_frame(Pipe(b"only noise"), skip_noise=True) is None
    with pytest.raises(ProtocolError, match="noise"):
        read_frame(Pipe(b"x" * (NOISE_LIMIT + 10), step=1 << 20), skip_noise=True)


def with_layout(layout: Any, size: int = 8) -> bytes:
    header = json.dumps({"header": {}, "arrays": layout}).encode()
    return MAGIC + PREFIX.pack(len(header), size) + header + bytes(size) + TRAILER.pack(zlib.crc32(header))


@pytest.mark.parametrize(
    "layout",
    [
        [["a", "|O", [1]]],
        [["a", "<U2", [1]]],
        [["a", "<f8", [-1]]],
        [["a", "<f8", [2]]],
        [["a", "<f8", [1 << 40]]],
        [["a", "no type", [1]]],
        [["a", "<f8"]],
        "arrays",
        None,
    ],
)
def test_a_layout_that_is_not_plain_numbers_is_refused(layout: Any) -> None:
    with pytest.raises(ProtocolError):
        read_frame(Pipe(with_layout(layout)))


def test_a_well_made_layout_is_read() -> None:
    frame = read_frame(Pipe(with_layout([["a", "<f8", [1]]])))
    assert frame is not None and frame.arrays["a"].tolist() == [0.0]


def test_a_cut_anywhere_and_a_changed_byte_outside_the_arrays_are_errors() -> None:
    whole = written(Message({"id": 1}, {"a": np.arange(4)}))
    for end in range(1, len(whole)):
        with pytest.raises(ProtocolError):
            read_frame(Pipe(whole[:end]))
    rng = random.Random(0)
    array = range(len(whole) - TRAILER.size - 32, len(whole) - TRAILER.size)
    for position in set(range(len(whole))) - set(array):
        torn = bytearray(whole)
        torn[position] ^= rng.randint(1, 255)
        with pytest.raises(ProtocolError):
            read_frame(Pipe(bytes(torn)))


def test_bytes_that_slip_into_an_array_are_noticed() -> None:
    whole = written(Message({"id": 1}, {"a": np.zeros(50, dtype=np.uint8)}))
    middle = len(whole) - 30
    with pytest.raises(ProtocolError, match="something else inside"):
        read_frame(Pipe(whole[:middle] + bytes(range(1, 20)) + whole[middle:]))
