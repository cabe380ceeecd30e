import pytest

from bench.metrics.bootstrap import Estimate
from bench.reports.tables import chance, decimals, interval


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.40, 0.80, 0), (0.50, 0.546, 1), (0.500, 0.5046, 2), (0.5, 0.500001, 2), (0.5, 0.5, 2), (None, None, 1)],
)
def test_no_more_digits_than_the_interval_carries(low, high, expected) -> None:
    assert decimals(low, high) == expected


def test_text() -> None:
    wide = Estimate(0.5234, 0.401, 0.79)
    assert interval(wide) == "52 (40 to 79)"
    assert interval(wide, "+") == "+52 (+40 to +79)"
    assert interval(Estimate(-0.01234, -0.0301, 0.004), "+") == "-1.2 (-3.0 to +0.4)"
    assert interval(Estimate(None, None, None)) == "–"
    assert interval(Estimate(0.5, None, None)) == "50.0"


def test_a_chance_is_never_certain() -> None:
    said = [chance(share, 10_000) for share in (None, 0.0, 1.0, 0.5, 0.9876, 0.0031)]
    assert said == ["–", "< 0.001", "> 0.999", "0.50", "0.99", "0.003"]
    assert chance(0.0, 100) == "< 0.1"
