"""Structural validation of the JSON files of a run, when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Below 2^53 every reader of JSON reads a number as the same value.
LIMIT = 1 << 53

LINE = {"image_id": str}


class SchemaError(ValueError):
    """Mismatch of a value and its schema. The message has the path (`score.PQ.all`), the value and the expectation."""


def validate(value: Any, shape: Any, at: str = "") -> None:
    """Raise SchemaError unless the value matches the schema.

    A schema is a type (`float` accepts integers, `int` rejects booleans); a dict of the required keys and their
    schemas; a list with the one schema of all entries; or a tuple of alternatives, where None is null. Numbers must be
    below 2^53.
    """
    if isinstance(shape, tuple):
        _one_of(value, shape, at)
    elif isinstance(shape, Mapping):
        _expect(isinstance(value, Mapping), value, "keys", at)
        for key, inner in shape.items():
            if key not in value:
                raise SchemaError(f"the key {f'{at}.{key}'.lstrip('.')!r} is missing")
            validate(value[key], inner, f"{at}.{key}".lstrip("."))
    elif isinstance(shape, list):
        _expect(isinstance(value, list), value, "a list", at)
        for position, item in enumerate(value):
            validate(item, shape[0], f"{at}[{position}]")
    elif shape is None:
        _expect(value is None, value, "null", at)
    else:
        _expect(_is(value, shape), value, shape.__name__, at)


def _one_of(value: Any, shapes: tuple[Any, ...], at: str) -> None:
    """Validate against alternatives. The error message refers to the last one."""
    for shape in shapes[:-1]:
        try:
            return validate(value, shape, at)
        except SchemaError:
            continue
    validate(value, shapes[-1], at)


def _is(value: Any, kind: type) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not abs(value) < LIMIT:
        return False
    if kind is float:
        return number
    return isinstance(value, kind) and (kind is not int or number)


def _expect(fits: bool, value: Any, expected: str, at: str) -> None:
    if not fits:
        raise SchemaError(f"{at or 'it'} is {repr(value)[:60]}, not {expected}")
