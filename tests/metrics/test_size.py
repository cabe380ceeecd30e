import itertools

import numpy as np
import pytest
from scenes import SPACE, panoptic, strip
from test_score import image_lines

from bench.metrics import size
from bench.metrics.columns import Columns
from bench.metrics.matching import match_rows
from bench.metrics.pq import pq_stat, pq_stats, pq_table, sum_stats
from bench.metrics.size import BINS, Bins, size_table, split_by_size
from bench.overlap import Overlap
from bench.types import SegmentInfo


def whole(lines):
    return sum_stats(pq_stat(Overlap.from_json(line["overlap"])) for line in lines)


def test_the_bins_add_up_to_the_whole_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    bins = {**BINS, "fine": Bins(("a", "b", "c"), (30, 40), relative=False)}
    monkeypatch.setattr(size, "BINS", bins)
    lines = image_lines(30)
    found = size_table(Columns.of(lines, SPACE), SPACE)
    for kind in bins:
        assert sum_stats(found.totals[kind]) == whole(lines)
    assert all(found.totals["fine"])


def test_a_single_bin_is_plain_pq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "BINS", {"one": Bins(("all",), (), relative=False)})
    lines = image_lines(10)
    assert size_table(Columns.of(lines, SPACE), SPACE).table("one", 0) == pq_table(whole(lines), SPACE)


def test_every_order_gives_the_identical_table() -> None:
    lines = image_lines(4)
    expected = size_table(Columns.of(lines, SPACE), SPACE)
    for order in itertools.islice(itertools.permutations(lines), 0, None, 7):
        assert size_table(Columns.of(order, SPACE), SPACE) == expected


def test_an_area_on_an_edge_is_of_the_upper_bin() -> None:
    assert BINS["coco"].places(np.array([1023, 1024, 9215, 9216]), np.ones(4, int)).tolist() == [0, 1, 1, 2]
    shares = BINS["relative"].places(np.array([1, 9, 10, 99, 100, 1000]), np.full(6, 1000))
    assert shares.tolist() == [1, 1, 2, 2, 3, 3]


def test_pairs_go_by_the_truth_and_false_positives_by_their_own_area() -> None:
    thing = SegmentInfo(1)
    truth = panoptic(strip((1, 12), (2, 4), (0, 4)), {1: thing, 2: thing})
    prediction = panoptic(strip((1, 9), (2, 3), (3, 8)), {1: thing, 2: thing, 3: SegmentInfo(2)})
    bins = Bins(("small", "large"), (10,), relative=False)
    columns = Columns.of_overlap(Overlap.of(truth, prediction))
    small, large = (pq_stats(columns, rows) for rows in split_by_size(columns, match_rows(columns), bins))
    assert (large[1].tp, large[1].fn, large[1].iou_sum) == (1, 0, 0.75)
    assert (small[1].fp, small[1].fn) == (1, 1)
    assert small[2].fp == 1  # 4 of its 8 px on void are not more than half: not forgiven


def test_a_category_with_truth_in_other_bins_alone_is_not_in_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    thing, other = SegmentInfo(1), SegmentInfo(2)
    truth = panoptic(strip((1, 20), (2, 5)), {1: thing, 2: other})
    prediction = panoptic(strip((1, 17), (3, 3), (0, 5)), {1: thing, 3: thing})
    lines = [{"image_id": "x", "overlap": Overlap.of(truth, prediction).to_json()}]
    monkeypatch.setattr(size, "BINS", {"two": Bins(("small", "large"), (10,), relative=False)})
    small, large = size_table(Columns.of(lines, SPACE), SPACE).to_json()["two"]
    assert (small["PQ"]["all"], small["FP"], small["FN"]) == ({"PQ": 0.0, "SQ": 0.0, "RQ": 0.0, "n": 1}, 1, 1)
    assert (large["PQ"]["all"]["PQ"], large["PQ"]["all"]["n"]) == (0.85, 1)
    assert small["per_class"]["class 1"] == {"PQ": 0.0, "TP": 0, "FP": 1, "FN": 0}
    assert (small["from"], small["to"], large["to"]) == (0, 10, None)
