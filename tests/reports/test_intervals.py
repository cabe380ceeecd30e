import pytest

from bench.metrics.bootstrap import Estimate
from bench.reports.comparison_tables import chance
from bench.reports.tables import decimals, intervals


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.40, 0.80, 0), (0.50, 0.546, 1), (0.500, 0.5046, 2), (0.5, 0.500001, 2), (0.5, 0.5, 2), (None, None, 1)],
)
def test_no_more_digits_than_the_interval_carries(low, high, expected) -> None:
    assert decimals(low, high) == expected


def test_a_column_has_the_decimals_of_its_widest_interval() -> None:
    wide, narrow, bare = Estimate(0.5234, 0.401, 0.79), Estimate(-0.01234, -0.0151, 0.004), Estimate(0.5, None, None)
    assert intervals([wide]) == ["52.3 (40.1 to 79.0)"]
    assert intervals([narrow], "+") == ["-1.23 (-1.51 to +0.40)"]
    assert intervals([narrow, wide, Estimate(None, None, None), bare], "+") == [
        "-1.2 (-1.5 to +0.4)", "+52.3 (+40.1 to +79.0)", "–", "+50.0",
    ]  # fmt: skip


def test_a_chance_is_never_certain() -> None:
    said = [chance(share, 10_000) for share in (None, 0.0, 1.0, 0.5, 0.9876, 0.0031)]
    assert said == ["–", "< 0.001", "> 0.999", "0.50", "0.99", "0.003"]
    assert chance(0.0, 100) == "< 0.1"
