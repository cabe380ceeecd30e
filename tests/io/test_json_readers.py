"""JSON by orjson: values and refusals are those of the module json with the strict hooks."""

from __future__ import annotations

from typing import Any

import pytest

from bench.io import files
from bench.io.segments_info import Fault, _plain_segments, read_segments

TEXTS = [
    b'{"a": 18446744073709551616}', b"[-9223372036854775809, 1e400]", b'{"a": 1e300}', b'{"a": 1, "b": {"a": 2}}',
    b'{"a": 1, "a": 2}', b'{"a": ":", "a": 2}', b'{"a": {"b": 1, "b": 1}}', b'{"a": "\\u003a", "a": 2}',
    b'{"url": "http://x:80", "a": [1.5, null, true]}', b'"\\ud800"', b'"\\u00e9"', b"[NaN]", b"[1,]", b"01", b" 1 ",
    b'"\xc3\xa9"', b'"\xff"', b"[" * 2000 + b"]" * 2000, b"[1e16, 1e15, 12345678901234567]", b"",
]  # fmt: skip


def outcome(text: bytes, read: Any) -> str:
    try:
        return repr(read(text))
    except ValueError as error:
        return f"ValueError: {error}"


@pytest.mark.parametrize("text", TEXTS)
def test_values_and_refusals_are_those_of_json(text: bytes) -> None:
    assert outcome(text, files.loads_strict) == outcome(text, files._loads_by_json)


SEGMENTS: list[list[Any]] = [
    [{"id": 1, "category_id": 2, "iscrowd": 1, "area": 5}, {"id": 7, "category_id": 3}],
    [{"id": 1, "category_id": 2, "score": 0.5, "bbox": [1, 2, 3, 4]}], [],
    [{"id": 1, "category_id": 9}], [{"id": 1, "category_id": 2}] * 2, [{"id": 1.0, "category_id": 2}],
    [{"id": 0, "category_id": 2}], [{"id": 1 << 24, "category_id": 2}], [{"id": 1, "category_id": True}],
    [{"id": 1, "category_id": 2, "area": 0}], [{"id": 1, "category_id": 2, "area": -1}], [7], [None], ["id"],
    [{"id": 1, "category_id": 2, "iscrowd": 2}], [{"id": 1, "category_id": [2]}],
    [{"id": 1, "category_id": 2, "score": 1e10}],
]  # fmt: skip


@pytest.mark.parametrize("is_truth", [True, False])
@pytest.mark.parametrize("known", [(2, 3), None])
@pytest.mark.parametrize("listed", SEGMENTS)
def test_usual_segments_are_those_of_the_full_check(
    listed: list[Any], known: Any, is_truth: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> tuple[Any, list[Fault]]:
        faults: list[Fault] = []
        return read_segments({"segments_info": listed}, known, faults, is_truth=is_truth), faults

    found, plain = read(), _plain_segments(listed, known)
    monkeypatch.setattr("bench.io.segments_info._plain_segments", lambda *one: None)
    assert found == read()
    assert plain is None or found == (plain, [])
