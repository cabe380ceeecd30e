"""Verdicts: on arms whose runs and seeds are made so that what is true is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bench.metrics.bootstrap import MEANS, Estimate
from bench.study.contrasts import BETTER, NO_CONCLUSION, NO_DIFFERENCE, UNDECIDED, WORSE, Arm, verdict

PQ = MEANS.index("PQ")


def arm_of(name: str, pq: Sequence[float], noise: float = 0.001) -> Arm:
    """An arm with these PQ of its seeds, whose replicates stray by `noise`."""
    by_seed = np.tile(np.asarray(pq), (len(MEANS), 1))
    rng = np.random.default_rng(len(name))
    draws = (by_seed.mean(axis=1)[:, None] + noise * rng.standard_normal((len(MEANS), 500))).astype(np.float32)
    means = tuple(Estimate(float(by_seed[k].mean()), None, None) for k in range(len(MEANS)))
    return Arm(name, tuple(range(len(pq))), (), by_seed, means, draws)


BASE = arm_of("base", [0.30, 0.32])


@pytest.mark.parametrize(
    ("pq", "noise", "said", "why"),
    [
        ([0.35, 0.36], 0.001, BETTER, "beyond the interval and the spread of seeds"),
        ([0.25, 0.26], 0.001, WORSE, "beyond the interval and the spread of seeds"),
        ([0.325, 0.325], 0.001, NO_DIFFERENCE, "the difference lies inside the spread of seeds"),  # 1.5 of 2 points
        ([0.35, 0.41], 0.001, BETTER, "beyond the interval and the spread of seeds"),  # 7 of 6 points
        ([0.32, 0.40], 0.001, NO_DIFFERENCE, "the difference lies inside the spread of seeds"),  # 5 of 8 points
        ([0.35, 0.36], 0.1, NO_DIFFERENCE, "the interval over images covers zero"),
    ],
)
def test_a_difference_must_leave_both_the_interval_and_the_seeds_behind(
    pq: list[float], noise: float, said: str, why: str
) -> None:
    arm = arm_of("other", pq, noise)
    found = verdict("c", BASE, arm, [BASE, arm])
    assert (found.verdict, found.why) == (said, why)
    assert found.delta.value == pytest.approx(np.mean(pq) - 0.31)
    assert found.delta.low is not None and found.delta.high is not None
    assert found.delta.low < found.delta.value < found.delta.high


def test_the_same_arm_shows_no_difference() -> None:
    found = verdict("c", BASE, replace(BASE, name="again"), [BASE])
    assert found.verdict == NO_DIFFERENCE and found.delta == Estimate(0.0, 0.0, 0.0)


def test_an_arm_of_one_seed_says_whose_spread_it_is_measured_by() -> None:
    alone, wild = arm_of("alone", [0.4]), arm_of("wild", [0.1, 0.6])
    found = verdict("c", BASE, alone, [BASE, alone, wild])
    assert found.yardstick == pytest.approx(0.02) and found.verdict == BETTER
    assert found.spread_of == "spread of alone unknown (one seed); yardstick: base"
    both = verdict("c", arm_of("one", [0.3]), alone, [BASE, alone, wild])
    assert both.yardstick == pytest.approx(0.5) and both.verdict == NO_DIFFERENCE
    assert both.spread_of == "spread of one and alone unknown (one seed); yardstick: wild"


def test_without_any_second_seed_nothing_is_decided() -> None:
    one, other = arm_of("one", [0.3]), arm_of("other", [0.4])
    found = verdict("c", one, other, [one, other])
    assert found.verdict == UNDECIDED and found.yardstick is None and "no yardstick in the study" in found.spread_of
    same = verdict("c", one, replace(one, name="same"), [one])
    assert same.verdict == NO_DIFFERENCE


def test_a_quick_look_gives_no_verdict() -> None:
    assert verdict("c", BASE, arm_of("other", [0.9, 0.9]), [BASE], quick=True).verdict == NO_CONCLUSION
