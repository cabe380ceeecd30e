"""Sentences and p values of paired comparisons."""

from __future__ import annotations

import pytest

from bench.analysis.comparison import holm, p_value, verdict
from bench.metrics.bootstrap import Estimate


def test_the_sentence_names_the_better_run_and_the_interval() -> None:
    assert verdict("a", "b", Estimate(0.012, 0.001, 0.024)) == (
        "b is better than a by 1.2 points of PQ (95 % interval 0.1 to 2.4)"
    )
    assert verdict("a", "b", Estimate(-0.012, -0.024, -0.001)) == (
        "a is better than b by 1.2 points of PQ (95 % interval 0.1 to 2.4)"
    )


@pytest.mark.parametrize("ends", [(-0.003, 0.021), (0.0, 0.0), (0.0, 0.02)])
def test_an_interval_that_holds_zero_shows_no_difference(ends: tuple[float, float]) -> None:
    assert verdict("a", "b", Estimate(0.009, *ends)).startswith("no difference in PQ shown: the 95 % interval of b − a")
    assert "undefined" in verdict("a", "b", Estimate(None, None, None))


def test_holm_by_hand() -> None:
    # 0.01 · 4, 0.02 · 3, 0.03 · 2, and 0.04 · 1, which may not fall below the one before.
    assert holm([0.03, 0.01, None, 0.04, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_p_values_have_two_sides_and_are_never_zero() -> None:
    assert p_value(0.0, 999) == p_value(1.0, 999) == pytest.approx(2 / 1000)
    assert p_value(0.5, 999) == 1.0 and p_value(None, 999) is None
    assert p_value(0.02, 999) == pytest.approx(2 * 20.98 / 1000) == pytest.approx(p_value(0.98, 999))
