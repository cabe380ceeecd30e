"""The kinds of error: they add up, planted ones are recognised, names and order of segments do not matter."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from planted import planted_scene, renamed
from scenes import SPACE, Scene, panoptic, scenes, strip

from bench.errors import DataError
from bench.metrics.columns import Columns
from bench.metrics.errors import ERROR_TYPES, assign_error_types, error_table
from bench.metrics.matching import match_rows
from bench.metrics.pq import pq_stat, pq_table
from bench.overlap import Overlap
from bench.types import SegmentInfo

A, B, OTHER, CROWD = SegmentInfo(1), SegmentInfo(1), SegmentInfo(2), SegmentInfo(1, iscrowd=True)


def line(overlap: Overlap) -> dict:
    return {"image_id": "x", "overlap": json.loads(json.dumps(overlap.to_json()))}


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(scene=scenes())
def test_the_parts_add_up(scene: Scene) -> None:
    overlap = Overlap.of(scene.truth.panoptic(), scene.prediction.panoptic())
    expected = pq_table(pq_stat(overlap), SPACE)
    found = error_table(Columns.of([line(overlap)], SPACE), SPACE).to_json()
    for row, own in zip(found["per_class"], expected.per_class, strict=True):
        assert row["PQ"] == own.PQ
        assert (row["TP"], sum(row["FN"].values()), sum(row["FP"].values())) == (own.TP, own.FN, own.FP)
        if own.PQ is not None:
            assert own.PQ + sum(row["loss"].values()) == pytest.approx(1, abs=1e-12)
    for name in ("all", "things", "stuff"):
        group = getattr(expected.groups, name)
        assert (found[name]["PQ"], found[name]["n"]) == (group.PQ, group.n)
        if group.PQ is not None:
            assert group.PQ + sum(found[name]["loss"].values()) == pytest.approx(1, abs=1e-12)


def kinds_of(scene) -> list[tuple[str, str]]:
    """(planted, found) of every segment that found no partner."""
    overlap = Overlap.of(scene.truth, scene.prediction)
    fn, fp = assigned(overlap)
    return [
        *((scene.truth_kind.get(overlap.truth[i - 1].source_id, "background"), kind) for i, kind in fn.items()),
        *((scene.predicted_kind.get(overlap.predicted[j - 1].source_id, "background"), kind) for j, kind in fp.items()),
    ]


def assigned(overlap: Overlap) -> tuple[dict[int, str], dict[int, str]]:
    """The error type of each missed and each surplus segment, by dense id."""
    columns = Columns.of_overlap(overlap)
    rows = match_rows(columns)
    found = assign_error_types(columns, rows)
    return tuple(
        {int(i): ERROR_TYPES[k] for i, k in zip(unmatched, kinds, strict=True)}
        for unmatched, kinds in ((rows.fn, found.fn), (rows.fp, found.fp))
    )


def test_planted_errors_are_recognised() -> None:
    rng = np.random.default_rng(0)
    pairs = Counter(pair for _ in range(300) for pair in kinds_of(planted_scene(rng)))
    planted = Counter()
    for (kind, _), count in pairs.items():
        planted[kind] += count
    assert set(planted) == set(ERROR_TYPES[1:])
    for kind, count in planted.items():
        assert count > 200
        assert pairs[kind, kind] / count >= 0.99, (kind, pairs)


def test_names_and_order_of_segments_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    scenes_ = [planted_scene(rng) for _ in range(20)]
    plain = [line(Overlap.of(scene.truth, scene.prediction)) for scene in scenes_]
    shuffled = [line(Overlap.of(renamed(rng, s.truth), renamed(rng, s.prediction))) for s in reversed(scenes_)]
    assert error_table(Columns.of(plain, SPACE), SPACE) == error_table(Columns.of(shuffled, SPACE), SPACE)


@pytest.mark.parametrize(
    ("truth", "truth_infos", "prediction", "infos", "fn", "fp"),
    [
        # two halves, neither over 0.5
        ([(1, 10)], {1: A}, [(1, 5), (2, 5)], {1: A, 2: B}, ["split"], ["split", "split"]),
        # the larger part matches; the smaller is the split's false positive
        ([(1, 10)], {1: A}, [(1, 6), (2, 4)], {1: A, 2: B}, [], ["split"]),
        # two parts that together cover too little
        ([(1, 10)], {1: A}, [(1, 3), (2, 2), (0, 5)], {1: A, 2: B}, ["poor mask"], ["poor mask", "poor mask"]),
        # one prediction over two truths matches the larger
        ([(1, 7), (2, 3)], {1: A, 2: B}, [(1, 10)], {1: A}, ["merged"], []),
        # of other categories, what was swallowed was missed
        ([(1, 7), (2, 3)], {1: A, 2: OTHER}, [(1, 10)], {1: A}, ["missed"], []),
        # the right place, the wrong name
        ([(1, 10)], {1: A}, [(1, 9), (0, 1)], {1: OTHER}, ["misclassified"], ["misclassified"]),
        # half void is not most
        ([(1, 10)], {1: A}, [(0, 5), (1, 5)], {1: OTHER}, ["missed"], ["spurious"]),
        ([(1, 10)], {1: A}, [(0, 6), (1, 4)], {1: OTHER}, ["left void"], ["spurious"]),
        # a crowd region is nobody's partner, and void of the truth does not count as outside
        ([(1, 10)], {1: CROWD}, [(1, 10)], {1: OTHER}, [], ["spurious"]),
        ([(0, 4), (1, 10)], {1: A}, [(1, 8), (2, 6)], {1: A, 2: B}, [], ["split"]),
        # IoU 0.1 is not over 0.1
        ([(1, 10)], {1: A}, [(1, 1), (0, 9)], {1: A}, ["left void"], ["spurious"]),
    ],
)
def test_by_hand(truth, truth_infos, prediction, infos, fn, fp) -> None:
    overlap = Overlap.of(panoptic(strip(*truth), truth_infos), panoptic(strip(*prediction), infos))
    missed, surplus = assigned(overlap)
    assert (list(missed.values()), list(surplus.values())) == (fn, fp)


def test_precision_and_recall() -> None:
    overlap = Overlap.of(panoptic(strip((1, 10), (2, 5)), {1: A, 2: B}), panoptic(strip((1, 10), (0, 5)), {1: A}))
    rows = error_table(Columns.of([line(overlap)], SPACE), SPACE).per_class
    assert (rows[0].precision, rows[0].recall) == (1.0, 0.5)
    assert (rows[1].precision, rows[1].recall, rows[1].pq) == (None, None, None)


def test_semantic_labels_have_no_segments_to_explain() -> None:
    with pytest.raises(DataError, match="no instances"):
        error_table(Columns.of([{"image_id": "x", "overlap": None}], SPACE), SPACE)
