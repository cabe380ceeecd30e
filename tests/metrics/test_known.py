"""Small cases with known answers; expected values worked out by hand or by panopticapi."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scenes import panoptic, strip

from bench.io import coco
from bench.metrics.pq import pq_stat, pq_table, sum_stats
from bench.overlap import Overlap
from bench.types import Categories, Category, SegmentInfo

THING, CROWD, STUFF = SegmentInfo(1), SegmentInfo(1, iscrowd=True), SegmentInfo(2)

# name: (truth, its segments, prediction, its segments, (tp, fp, fn, IoU sum) of the thing category 1)
CASES = {
    "A void in the prediction is a miss": (
        [(1, 100)], {1: THING}, [(1, 60), (0, 40)], {1: THING}, (1, 0, 0, 0.6)),
    "B mostly void in the prediction is FP and FN": (
        [(1, 100)], {1: THING}, [(1, 30), (0, 70)], {1: THING}, (0, 1, 1, 0.0)),
    "C an empty prediction misses": (
        [(1, 100)], {1: THING}, [(0, 100)], {}, (0, 0, 1, 0.0)),
    "D a crowd region found as one thing is forgiven": (
        [(1, 50), (2, 50)], {1: THING, 2: CROWD}, [(1, 50), (2, 50)], {1: THING, 2: THING}, (1, 0, 0, 1.0)),
    "E only the last-listed crowd region of a category forgives": (
        [(1, 30), (2, 30), (3, 40)], {1: THING, 2: CROWD, 3: CROWD},
        [(1, 30), (2, 30), (3, 40)], {1: THING, 2: THING, 3: THING}, (1, 1, 0, 1.0)),
    "F no category present": (
        [(0, 100)], {}, [(0, 100)], {}, (0, 0, 0, 0.0)),
    "G a wrong declared area is believed": (
        [(1, 100)], {1: SegmentInfo(1, declared_area=300)}, [(1, 100)], {1: THING}, (0, 1, 1, 0.0)),
    "H a segment predicted with id 0 is a segment": (
        [(7, 100)], {7: THING}, [(0, 100)], {0: THING}, (1, 0, 0, 1.0)),
}  # fmt: skip

SPACE = Categories((Category(1, "thing", True, (1, 1, 1)), Category(2, "stuff", False, (2, 2, 2))))


@pytest.mark.parametrize("name", CASES)
def test_case(name: str):
    truth, truth_infos, prediction, prediction_infos, expected = CASES[name]
    overlap = Overlap.of(panoptic(strip(*truth), truth_infos), panoptic(strip(*prediction), prediction_infos))
    found = pq_stat(overlap)
    assert set(found) <= {1}
    one = found.get(1)
    assert ((one.tp, one.fp, one.fn, one.iou_sum) if one else (0, 0, 0, 0.0)) == expected


def test_no_category_anywhere_is_none_and_no_crash():
    table = pq_table({}, SPACE)
    assert (table.groups.all.PQ, table.groups.all.n, table.groups.things.PQ, table.groups.stuff.PQ) == (
        None,
        0,
        None,
        None,
    )


def test_a_merged_prediction():
    """3 x 3, classes 0, 1, 2: class 0 is missed whole, class 1 found at IoU 2/3, class 2 split in halves.

    Class 1: IoU 4/6, one TP. Class 0: an FN. Class 2: an FN and an FP, since one half is no match.
    """
    space = Categories(tuple(Category(i, str(i), False, (i, i, i)) for i in range(3)))
    truth = panoptic([[1, 1, 2], [2, 2, 2], [3, 3, 0]], {1 + i: SegmentInfo(i) for i in range(3)})
    prediction = panoptic([[2, 2, 2], [2, 2, 2], [3, 0, 0]], {2: SegmentInfo(1), 3: SegmentInfo(2)})
    table = pq_table(pq_stat(Overlap.of(truth, prediction)), space)
    assert [row.PQ for row in table.per_class] == pytest.approx([0, 4 / 6, 0], abs=1e-15)
    assert pytest.approx((2 / 9, 2 / 9, 1 / 3), abs=1e-15) == (
        table.groups.all.PQ,
        table.groups.all.SQ,
        table.groups.all.RQ,
    )


def test_several_instances_and_two_stuff_classes_on_five_by_five():
    """Two things (IoU 2/3 and 1), a thing never seen, stuff found whole (1) and in part (6/8)."""
    space = Categories(tuple(Category(i, str(i), i < 2, (i, i, i)) for i in range(4)))
    truth = panoptic(
        [[1, 1, 1, 5, 5], [1, 1, 1, 5, 5], [2, 2, 6, 6, 6], [2, 2, 6, 6, 6], [7, 7, 6, 6, 0]],
        {1: SegmentInfo(0), 2: SegmentInfo(0), 5: SegmentInfo(2), 6: SegmentInfo(3), 7: SegmentInfo(1)},
    )
    prediction = panoptic(
        [[1, 1, 0, 5, 5], [1, 1, 0, 5, 5], [2, 2, 6, 6, 6], [2, 2, 6, 6, 6], [0, 0, 0, 0, 6]],
        {1: SegmentInfo(0), 2: SegmentInfo(0), 5: SegmentInfo(2), 6: SegmentInfo(3)},
    )
    table = pq_table(pq_stat(Overlap.of(truth, prediction)), space)
    # the pixel of segment 6 on void is not in its union: 6 / (7 + 8 - 6 - 1)
    assert [row.PQ for row in table.per_class] == pytest.approx([5 / 6, 0, 1, 6 / 8], abs=1e-15)
    assert pytest.approx((5 / 12, 7 / 8), abs=1e-15) == (table.groups.things.PQ, table.groups.stuff.PQ)
    assert (table.groups.all.PQ, table.groups.all.n) == (pytest.approx((5 / 6 + 1 + 6 / 8) / 4, abs=1e-15), 4)


def test_rectangles_on_a_wall():
    """60 x 80: two people, a cat that is not there, a dog, a wall; the arithmetic stands in the asserts."""
    truth, prediction = np.full((60, 80), 4), np.full((60, 80), 4)
    for ids, boxes in (
        (truth, {1: (10, 30, 10, 30), 2: (30, 50, 10, 30), 3: (10, 15, 50, 60)}),
        (prediction, {1: (9, 29, 12, 32), 2: (30, 44, 10, 20), 3: (10, 14, 51, 60)}),
    ):
        for number, (top, bottom, left, right) in boxes.items():
            ids[top:bottom, left:right] = number
    infos = {1: SegmentInfo(0), 2: SegmentInfo(0), 3: SegmentInfo(2), 4: SegmentInfo(3)}
    space = Categories(tuple(Category(i, str(i), i < 3, (i, i, i)) for i in range(4)))
    table = pq_table(pq_stat(Overlap.of(panoptic(truth, infos), panoptic(prediction, infos))), space)
    person = (19 * 18) / (400 + 400 - 19 * 18)  # the second person is found at 140 / 400: FP and FN
    wall = 4800 - 400 - 400 - 50
    wall_found = 4800 - 400 - 140 - 36
    union_of_walls = 4800 - (19 * 18 + 140 + 36)
    inter_of_walls = wall + wall_found - union_of_walls
    expected = [person / 2, None, 36 / 50, inter_of_walls / union_of_walls]
    assert [row.PQ for row in table.per_class] == pytest.approx(expected, abs=1e-15)
    assert table.groups.all.n == 3


@pytest.mark.parametrize("case", ["mmdet", "deeplab2_team", "deeplab2_all3"])
def test_files_with_the_answers_of_panopticapi(case: str, shared_data: Path):
    folder = shared_data / "known" / case
    expected = json.loads((folder.parent / "expected.json").read_text())[case]
    truth, prediction = coco.load_json(folder / "gt.json"), coco.load_json(folder / "pred.json")
    categories = truth.categories
    assert categories is not None
    totals = sum_stats(
        pq_stat(Overlap.of(
            coco.read_panoptic(folder / "gt" / annotation["file_name"], annotation, categories.ids, is_truth=True),
            coco.read_panoptic(folder / "pred" / prediction.annotations[image_id]["file_name"],
                               prediction.annotations[image_id], categories.ids),
        ))
        for image_id, annotation in truth.annotations.items()
    )  # fmt: skip
    table = pq_table(totals, categories)
    for group, name in ((table.groups.all, "All"), (table.groups.things, "Things"), (table.groups.stuff, "Stuff")):
        for ours, key in ((group.PQ, "pq"), (group.SQ, "sq"), (group.RQ, "rq")):
            _assert_equal(ours, expected[name][key])
        assert group.n == expected[name]["n"]
    for category, row in zip(categories, table.per_class, strict=True):
        for ours, key in ((row.PQ, "pq"), (row.SQ, "sq"), (row.RQ, "rq")):
            _assert_equal(ours or 0.0, expected["per_class"][str(category.id)][key])


def _assert_equal(ours: float | None, theirs: float) -> None:
    assert (ours is None) if math.isnan(theirs) else ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)
