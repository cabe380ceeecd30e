"""Verdicts: on arms whose runs and seeds are made so that what is true is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.contrasts import BETTER, NO_CONCLUSION, NO_DIFFERENCE, STUDENT, UNDECIDED, WORSE, Arm, verdict
from bench.metrics.bootstrap import MEANS, Estimate

PQ = MEANS.index("PQ")


def arm_of(name: str, pq: Sequence[float], noise: float = 0.001) -> Arm:
    """An arm with these PQ of its seeds, whose replicates stray by `noise`."""
    by_seed = np.tile(np.asarray(pq), (len(MEANS), 1))
    rng = np.random.default_rng(len(name))
    draws = (by_seed.mean(axis=1)[:, None] + noise * rng.standard_normal((len(MEANS), 500))).astype(np.float32)
    means = tuple(Estimate(float(by_seed[k].mean()), None, None) for k in range(len(MEANS)))
    return Arm(name, tuple(range(len(pq))), (), by_seed, means, draws)


BASE = arm_of("base", [0.30, 0.32])
BEYOND, INSIDE = (
    "larger than the interval over images and the effect of seeds",
    "seeds alone cause as large a difference",
)


@pytest.mark.parametrize(
    ("pq", "noise", "said", "why"),
    [
        ([0.40, 0.41], 0.001, BETTER, BEYOND),  # 9.5 of 7 points
        ([0.21, 0.22], 0.001, WORSE, BEYOND),
        ([0.36, 0.37], 0.001, NO_DIFFERENCE, INSIDE),  # 5.5 of 7 points
        ([0.40, 0.60], 0.001, NO_DIFFERENCE, INSIDE),  # 19 points; its own spread is 20, and the scatter gives more
        ([0.40, 0.41], 0.1, NO_DIFFERENCE, "the interval over images covers zero"),
    ],
)
def test_a_difference_must_leave_both_the_interval_and_the_seeds_behind(
    pq: list[float], noise: float, said: str, why: str
) -> None:
    arm = arm_of("other", pq, noise)
    found = verdict("c", BASE, arm, [BASE, arm])
    assert (found.verdict, found.why) == (said, why)
    assert found.delta.value == pytest.approx(np.mean(pq) - 0.31)
    assert found.delta.low is not None and found.delta.high is not None and found.delta.value is not None
    assert found.delta.low < found.delta.value < found.delta.high


def test_the_factor_is_students_t_as_scipy_has_it() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom, factor in enumerate(STUDENT, 1):
        assert factor == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


def test_seeds_without_any_difference_are_rarely_told_apart() -> None:
    """Eight arms of two seeds that only noise tells apart: about one comparison in twenty. By the spread of the two
    arms alone it was one in five."""
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(400):
        many = [arm_of(f"arm {k}", rng.normal(0.3, 0.02, 2).tolist(), 1e-6) for k in range(8)]
        told += verdict("c", many[0], many[1], many).verdict != NO_DIFFERENCE
    assert 4 <= told <= 34


def test_an_arm_that_learns_by_luck_hides_its_own_difference_alone() -> None:
    calm = [arm_of(f"calm {k}", [0.30, 0.30 + 0.005 * k]) for k in range(4)]
    wild, better = arm_of("wild", [0.1, 0.28]), arm_of("better", [0.36, 0.37])
    every = [*calm, wild, better]
    found = verdict("c", calm[0], wild, every)
    assert found.verdict == NO_DIFFERENCE and found.seeds == "seeds: the spread of wild"
    assert found.yardstick == pytest.approx(0.18)
    assert verdict("c", calm[0], better, every).verdict == BETTER


def test_the_same_arm_shows_no_difference() -> None:
    found = verdict("c", BASE, replace(BASE, name="again"), [BASE])
    assert found.verdict == NO_DIFFERENCE and found.delta == Estimate(0.0, 0.0, 0.0)


def test_two_seeds_that_agree_are_held_against_those_that_do_not() -> None:
    calm, other = arm_of("calm", [0.30, 0.30]), arm_of("other", [0.32, 0.32])
    noisy = [arm_of(f"noisy {k}", [0.30, 0.33]) for k in range(3)]
    assert verdict("c", calm, other, [calm, other]).verdict == BETTER
    found = verdict("c", calm, other, [calm, other, *noisy])
    assert found.verdict == NO_DIFFERENCE
    assert found.seeds == "seeds: 2.57 standard errors, by the scatter in 5 trainings"


def test_without_any_second_seed_nothing_is_decided() -> None:
    one, other = arm_of("one", [0.3]), arm_of("other", [0.4])
    found = verdict("c", one, other, [one, other])
    assert found.verdict == UNDECIDED and found.yardstick is None and found.seeds == "no training has two seeds"
    same = verdict("c", one, replace(one, name="same"), [one])
    assert same.verdict == NO_DIFFERENCE


def test_a_quick_look_gives_no_verdict() -> None:
    other = arm_of("other", [0.9, 0.9])
    assert verdict("c", BASE, other, [BASE, other], quick=True).verdict == NO_CONCLUSION
