import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import SPACE, Scene, panoptic, scenes, strip

from bench.errors import DataError
from bench.metrics.matching import DEVIATIONS, match
from bench.metrics.pq import PQStat, pq_stat, pq_table, sum_stats
from bench.overlap import Overlap
from bench.types import SegmentInfo

THING = SegmentInfo(1)
CROWD = SegmentInfo(1, iscrowd=True)


def overlap(truth, truth_infos, prediction, prediction_infos) -> Overlap:
    return Overlap.of(panoptic(strip(*truth), truth_infos), panoptic(strip(*prediction), prediction_infos))


@settings(max_examples=150, deadline=None)
@given(scene=scenes())
def test_a_map_against_itself_is_perfect(scene: Scene):
    """In `strict`, where areas are counted; crowd is no truth to find, so only what is not crowd counts."""
    truth = scene.truth.panoptic()
    found = pq_stat(Overlap.of(truth, truth), protocol="strict")
    table = pq_table(found, SPACE)
    assert all(row.PQ in (None, 1.0) for row in table.per_class)
    assert sum(t.tp for t in found.values()) == sum(not s.iscrowd for s in truth.segments_info)


def test_a_map_against_itself_is_perfect_in_the_coco_protocol():
    truth = panoptic(strip((1, 5), (0, 3), (2, 4)), {1: THING, 2: SegmentInfo(70)})
    table = pq_table(pq_stat(Overlap.of(truth, truth)), SPACE)
    assert (table.groups.all.PQ, table.groups.things.PQ, table.groups.stuff.PQ) == (1.0, 1.0, 1.0)


@settings(max_examples=50, deadline=None)
@given(drawn=st.lists(scenes(), min_size=1, max_size=6), seed=st.integers(0, 2**32), cut=st.integers(0, 6))
def test_any_order_and_any_shards_give_identical_totals(drawn: list[Scene], seed: int, cut: int):
    tallies = [pq_stat(Overlap.of(s.truth.panoptic(), s.prediction.panoptic())) for s in drawn]
    shuffled = tallies.copy()
    random.Random(seed).shuffle(shuffled)
    sharded = sum_stats([sum_stats(shuffled[:cut]), sum_stats(shuffled[cut:])])
    assert sharded == sum_stats(tallies)
    assert pq_table(sharded, SPACE) == pq_table(sum_stats(tallies), SPACE)


def test_the_iou_sum_is_the_exactly_rounded_one():
    ious = [0.5 + 1 / n for n in range(3, 3000)]
    exact = sum_stats({1: PQStat.true_positive(iou)} for iou in ious)
    assert exact[1].iou_sum == math.fsum(ious)
    one_by_one = 0.0
    for iou in ious:
        one_by_one += iou
    assert one_by_one != math.fsum(ious)  # what plain summation would have given, as `sum` did until Python 3.12


def test_an_iou_of_exactly_one_half_is_no_match():
    half = overlap([(1, 2), (0, 2)], {1: THING}, [(1, 1), (0, 3)], {1: THING})
    assert (match(half).tp, match(half).fp, match(half).fn) == ((), (1,), (1,))


def test_exactly_half_on_void_is_still_a_false_positive():
    on_void = overlap([(0, 2), (1, 2)], {1: SegmentInfo(70)}, [(1, 4)], {1: THING})
    assert match(on_void).fp == (1,)
    more = overlap([(0, 3), (1, 2)], {1: SegmentInfo(70)}, [(1, 5)], {1: THING})
    assert match(more).fp == ()


def test_void_and_crowd_forgive_together():
    both = overlap([(0, 2), (1, 2), (2, 3)], {1: CROWD, 2: SegmentInfo(70)}, [(5, 7)], {5: THING})
    assert match(both).fp == ()
    other_class = overlap([(0, 2), (1, 2), (2, 3)], {1: CROWD, 2: SegmentInfo(70)}, [(5, 7)], {5: SegmentInfo(2)})
    assert match(other_class).fp == (1,)


def test_a_higher_threshold_drops_matches():
    three_quarters = overlap([(1, 4)], {1: THING}, [(1, 3), (0, 1)], {1: THING})
    assert [hit.iou for hit in match(three_quarters, 0.7).tp] == [0.75]
    assert match(three_quarters, 0.75).tp == ()
    with pytest.raises(ValueError, match="not unique"):
        match(three_quarters, 0.4)


def test_strict_honours_every_crowd_region_and_counts_areas():
    crowds = overlap([(1, 4), (2, 4)], {1: CROWD, 2: CROWD}, [(1, 4), (2, 4)], {1: THING, 2: THING})
    assert match(crowds).fp == (1,)
    assert match(crowds, protocol="strict").fp == ()
    wrong_area = overlap([(1, 4)], {1: SegmentInfo(1, declared_area=12)}, [(1, 4)], {1: THING})
    assert match(wrong_area).tp == ()
    assert match(wrong_area, protocol="strict").tp[0].iou == 1.0
    assert DEVIATIONS["coco"] == () and len(DEVIATIONS["strict"]) == 2


def test_absent_categories_are_left_out_and_empty_groups_are_none():
    only_things = overlap([(1, 4)], {1: THING}, [(1, 4)], {1: THING})
    table = pq_table(pq_stat(only_things), SPACE)
    assert (table.groups.things.PQ, table.groups.things.n) == (1.0, 1)
    assert (table.groups.stuff.PQ, table.groups.stuff.SQ, table.groups.stuff.RQ, table.groups.stuff.n) == (
        None,
        None,
        None,
        0,
    )
    assert [row.PQ for row in table.per_class] == [1.0, *[None] * (len(SPACE) - 1)]


def test_pq_is_the_mean_of_pq_and_not_sq_times_rq():
    one = {1: PQStat.true_positive(0.6), 70: PQStat.true_positive(1.0) + PQStat(fn=2)}
    table = pq_table(one, SPACE)
    assert pytest.approx((0.6 + 1 / 2) / 2, abs=1e-15) == table.groups.all.PQ
    assert pytest.approx(0.8 * 0.75, abs=1e-15) == table.groups.all.SQ * table.groups.all.RQ


def test_a_category_that_is_not_the_data_sets_is_refused():
    with pytest.raises(DataError, match=r"\[999\]"):
        pq_table({999: PQStat(fp=1)}, SPACE)
