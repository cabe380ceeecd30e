from typing import Any

import pytest

from bench.io.json_schema import SchemaError, validate

SHAPE = {"name": str, "scores": [(None, float)], "inner": {"n": int, "flag": bool}}
FITS: dict[str, Any] = {"name": "x", "scores": [None, 1, 0.5], "inner": {"n": 2, "flag": True}, "more": object()}


def test_what_fits_passes_and_more_may_be_there() -> None:
    validate(FITS, SHAPE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "name is 3, not str"),
        ({"scores": "x"}, "scores is 'x', not a list"),
        ({"scores": [0.5, "x"]}, r"scores\[1\] is 'x', not float"),
        ({"scores": [True]}, "is True, not float"),
        ({"scores": [float("nan")]}, "is nan"),
        ({"scores": [1 << 60]}, "not float"),
        ({"inner": []}, r"inner is \[\], not keys"),
        ({"inner": {"flag": True}}, "the key 'inner.n' is missing"),
        ({"inner": {"n": 2.5, "flag": True}}, "inner.n is 2.5, not int"),
        ({"inner": {"n": True, "flag": True}}, "inner.n is True, not int"),
        ({"inner": {"n": 2, "flag": 1}}, "inner.flag is 1, not bool"),
    ],
)
def test_what_does_not_is_named_with_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        validate({**FITS, **change}, SHAPE)
