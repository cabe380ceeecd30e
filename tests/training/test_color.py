import numpy as np
import pytest

from bench.errors import UsageError
from bench.io.images import LUMA
from bench.training.data.augment import recolor
from bench.training.recipe import NEVER, Chance, ColorPolicy, JpegChance

RGB = np.random.default_rng(0).uniform(60, 180, (16, 24, 3)).astype(np.float32)
OFF = dict(brightness=NEVER, tint=NEVER)


def drawn(policy, seed=0):
    return recolor(RGB, policy, np.random.default_rng(seed))


def test_nothing_is_drawn_from_an_empty_policy():
    np.testing.assert_array_equal(drawn(ColorPolicy(**OFF)), RGB)


def test_brightness_is_one_factor_and_tint_one_a_channel():
    bright = drawn(ColorPolicy(brightness=Chance(1.0, 0.2), tint=NEVER)) / RGB
    tinted = drawn(ColorPolicy(brightness=NEVER, tint=Chance(1.0, 0.2))) / RGB
    assert np.ptp(bright) < 1e-5 and 0.8 <= bright.mean() <= 1.2
    assert np.ptp(tinted, axis=(0, 1)).max() < 1e-5 and np.ptp(tinted) > 0.01


def test_saturation_keeps_the_luma_and_contrast_its_mean():
    vivid = drawn(ColorPolicy(**OFF, saturation=Chance(1.0, 0.3)))
    np.testing.assert_allclose(vivid @ LUMA, RGB @ LUMA, atol=1e-2)
    assert abs(vivid - RGB).max() > 1
    harder = drawn(ColorPolicy(**OFF, contrast=Chance(1.0, 0.3)))
    assert (harder @ LUMA).mean() == pytest.approx((RGB @ LUMA).mean(), abs=1e-2)
    assert abs((harder @ LUMA).std() / (RGB @ LUMA).std() - 1) > 0.01


def test_jpeg_loses_more_at_a_lower_quality():
    lost = [abs(drawn(ColorPolicy(**OFF, jpeg=JpegChance(1.0, (q, q)))) - RGB).mean() for q in (95, 50, 5)]
    assert 0 < lost[0] < lost[1] < lost[2]


def test_an_operation_is_drawn_as_often_as_asked():
    policy = ColorPolicy(brightness=Chance(0.3, 0.5), tint=NEVER)
    changed = sum(not np.array_equal(drawn(policy, seed), RGB) for seed in range(400))
    assert 75 < changed < 165  # 120, 4.9 standard deviations to each side


@pytest.mark.parametrize("bad", [(1.5, 0.1), (0.5, 1.0), (-0.1, 0.1)])
def test_chances_are_checked(bad):
    with pytest.raises(UsageError, match="must lie in"):
        Chance(*bad)
