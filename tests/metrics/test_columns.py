"""Columns of many images give what plain loops over each image give, and what panopticapi counts."""

from __future__ import annotations

import os
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from image_loops import LoopTotals
from scenes import SPACE, drawn_line, seeded_scene

from bench.errors import DataError
from bench.metrics.boundary import boundary_table
from bench.metrics.columns import Columns
from bench.metrics.confusion import confusion_table
from bench.metrics.errors import assign_error_types, error_table
from bench.metrics.image_statistics import PARTS, image_stats, image_sums, statistics
from bench.metrics.matching import match, match_rows
from bench.metrics.pq import pq_stat, pq_stats
from bench.metrics.score import Scorer, score
from bench.metrics.semantic import confusion_of, empty_confusion
from bench.metrics.size import BINS, size_table
from bench.metrics.thresholds import THRESHOLDS, threshold_table
from bench.overlap import Overlap

SCENES = int(os.environ.get("BENCH_COLUMN_SCENES", "10000"))
BATCH = 50  # images in one table


def equal(lines: list[dict], protocol: str) -> Counter:
    """Compare every metric of the columns of these lines with loops; count what was met."""
    columns, loops, overlaps = Columns.of(lines, SPACE), LoopTotals(protocol), []
    rows = match_rows(columns, protocol=protocol)
    kinds = assign_error_types(columns, rows, protocol)
    for line in lines:
        overlaps.append(Overlap.from_json(line["overlap"]))
        one = loops.add(overlaps[-1])
        alone = match(overlaps[-1], protocol=protocol)
        tp, fp, fn = one.matches()
        assert ({(i, j): iou for i, j, iou in alone.tp}, list(alone.fp), list(alone.fn)) == (tp, fp, fn)
    numbers = {at: _numbers(loops.at[at]) for at in THRESHOLDS}
    assert _stats(pq_stats(columns, rows)) == numbers[0.5]
    _equal_errors(columns, loops, protocol)
    sizes = size_table(columns, SPACE, protocol).totals
    for kind, bins in BINS.items():
        for k in range(len(bins.names)):
            assert _stats(sizes[kind][k]) == _numbers(loops.bins[kind, k])
    table = threshold_table(columns, SPACE, protocol)
    for at, found in zip(THRESHOLDS, table.tables, strict=True):
        for category, row in zip(SPACE, found.per_class, strict=True):
            assert numbers[at].get(category.id, (0, 0, 0, 0))[:3] == (row.TP, row.FP, row.FN)
    for category, value in zip(SPACE, table.dagger, strict=True):
        if not category.isthing:
            total, count = loops.best[category.id]
            assert value == (float(total / count) if count else None)
    _equal_images(columns, loops, protocol)
    _equal_pixels(columns, overlaps)
    assert len(kinds.fn) == len(rows.fn)
    return Counter(tp=len(rows.truth), fp=len(rows.fp), fn=len(rows.fn), **{k: n for (_, k), n in loops.fn.items()})


def _stats(found) -> dict[int, tuple]:
    return {key: (one.tp, one.fp, one.fn, Fraction(one.iou, 1 << 53)) for key, one in found.items()}


def _numbers(sums) -> dict[int, tuple]:
    return {key: tuple(one) for key, one in sums.items()}


def _equal_errors(columns: Columns, loops: LoopTotals, protocol: str) -> None:
    for category, row in zip(SPACE, error_table(columns, SPACE, protocol).per_class, strict=True):
        for found, expected in ((row.fn, loops.fn), (row.fp, loops.fp)):
            own = {kind: n for (category_id, kind), n in expected.items() if category_id == category.id}
            assert {kind: n for kind, n in found.items() if n} == own


def _equal_images(columns: Columns, loops: LoopTotals, protocol: str) -> None:
    order = sorted(range(len(columns.image_ids)), key=lambda k: columns.image_ids[k])
    by_image = image_stats(columns, SPACE, protocol)
    sums = image_sums(columns, SPACE, "cityscapes", protocol)
    assert sums.image_ids == tuple(columns.image_ids[k] for k in order)
    for place, k in enumerate(order):
        for index, category in enumerate(SPACE):
            tp, fp, fn, iou = loops.images[k].get(category.id, (0, 0, 0, Fraction(0)))
            own = by_image.get((k, index))
            assert (own is None) == (tp + fp + fn == 0)
            assert sums.parts[:3, index, place].tolist() == [float(iou), tp, tp + fp / 2 + fn / 2]


def _equal_pixels(columns: Columns, overlaps: list[Overlap]) -> None:
    expected, sums = empty_confusion(SPACE), image_sums(columns, SPACE, "cityscapes")
    place = {image_id: k for k, image_id in enumerate(sums.image_ids)}
    for image_id, overlap in zip(columns.image_ids, overlaps, strict=True):
        own = empty_confusion(SPACE)
        for t, p, n in confusion_of(overlap, SPACE):
            own[t, p] += n
        expected += own
        hits = np.diagonal(own)[:-1]
        parts = sums.parts[PARTS.index("panoptic_hits") :, :, place[image_id]]
        assert parts[0].tolist() == hits.tolist()
        assert parts[1].tolist() == (own[:-1].sum(axis=1) + own[:-1, :-1].sum(axis=0) - hits).tolist()
    assert (confusion_table(columns, SPACE, "cityscapes").matrices["panoptic"] == expected).all()


def added_up(lines: list[dict], protocol: str, metrics: tuple[str, ...]) -> tuple:
    """The score of all lines at once, and of one at a time."""
    one, many = (Scorer(SPACE, "cityscapes", protocol, metrics) for _ in range(2))
    many.add(statistics(Columns.of(lines, SPACE), SPACE, protocol, metrics))
    for line in lines:
        one.add(statistics(Columns.of_line(line, SPACE), SPACE, protocol, metrics))
    return one.score(), many.score()


@pytest.mark.parametrize("protocol", ["coco", "strict"])
def test_columns_are_loops_over_images(protocol: str) -> None:
    seen = sum((equal([drawn_line(k) for k in range(n, n + BATCH)], protocol) for n in range(0, 300, BATCH)), Counter())
    assert all(seen[kind] for kind in ("tp", "fp", "fn", "misclassified", "split", "merged", "poor mask", "missed"))


@pytest.mark.parametrize("protocol", ["coco", "strict"])
def test_images_at_once_score_as_one_at_a_time(protocol: str) -> None:
    lines = [drawn_line(k) for k in range(60)]
    one, many = added_up(lines, protocol, ("boundary",))
    assert one == many
    assert many.to_json()["boundary"] == boundary_table(Columns.of(lines, SPACE), SPACE, protocol).to_json()
    assert score(lines, SPACE, "cityscapes", protocol).PQ == many.PQ


@pytest.mark.parity
@pytest.mark.parametrize("protocol", ["coco", "strict"])
def test_columns_are_loops_and_panopticapi_on_many_scenes(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = pytest.importorskip("test_pq_reference")
    monkeypatch.setattr(reference.evaluation, "Image", reference.SimpleNamespace())
    monkeypatch.setattr(reference.evaluation, "print", lambda *_: None, raising=False)
    seen = Counter[str]()
    for start in range(0, SCENES, BATCH):
        lines = [drawn_line(seed) for seed in range(start, start + BATCH)]
        seen += equal(lines, protocol)
        one, many = added_up(lines, protocol, ("boundary",))
        assert one == many
        theirs, plain = reference.evaluation.PQStat(), []
        for seed in range(start, start + BATCH):
            scene = seeded_scene(np.random.default_rng(seed))
            theirs += reference.reference(scene)
            overlap = Overlap.of(scene.truth.panoptic(), scene.prediction.panoptic())
            plain.append({"image_id": str(seed), "overlap": overlap.to_json()})
        columns = Columns.of(plain, SPACE)
        reference._assert_equal(pq_stats(columns, match_rows(columns)), theirs)
    print(f"{SCENES} scenes: {dict(seen)}")


def test_a_truth_of_semantic_labels_has_no_rows() -> None:
    line = {"image_id": "a", "group": "", "overlap": None, "semantic": [[0, 1, 3]]}
    columns = Columns.of([line, {**drawn_line(0), "boundary": None}, line], SPACE)
    assert columns.has_overlap.tolist() == [False, True, False] and not columns.has_boundary.any()
    assert set(columns.truth.image.tolist()) == {1} == set(columns.predicted.image.tolist())
    assert pq_stats(columns, match_rows(columns)) == pq_stat(Overlap.from_json(drawn_line(0)["overlap"]))
    with pytest.raises(DataError, match="image 'a': has no instances"):
        error_table(columns, SPACE)


def test_a_broken_line_is_named() -> None:
    lines = [drawn_line(0), {**drawn_line(1), "image_id": "bad", "overlap": {"truth": []}}]
    with pytest.raises(DataError, match="image 'bad': not a stored overlap"):
        Columns.of(lines, SPACE)
    strange = drawn_line(3)
    strange["overlap"]["truth"][0][1] = 999
    with pytest.raises(DataError, match="category 999 of the ground truth"):
        statistics(Columns.of([drawn_line(0), strange], SPACE), SPACE)
    short = {**drawn_line(1), "boundary": {**drawn_line(1)["boundary"], "predicted": []}}
    with pytest.raises(DataError, match="the boundaries are not those of its segments"):
        Columns.of([short], SPACE)
