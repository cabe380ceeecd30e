"""Boundary PQ against the published rule written out slowly: every segment eroded d times by 3 x 3."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from scenes import SPACE, Scene, Side, panoptic, scenes
from test_score import image_lines

from bench.errors import DataError
from bench.metrics.boundary import boundary_column, boundary_ious, boundary_map, boundary_table, dilation_px
from bench.metrics.columns import Columns
from bench.metrics.matching import scored_pairs
from bench.metrics.pq import pq_stat
from bench.overlap import Overlap
from bench.types import Panoptic, SegmentInfo


def eroded(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Outside the image nothing belongs to the mask."""
    for _ in range(times):
        padded = np.pad(mask, 1)
        shifts = [padded[a : a + mask.shape[0], b : b + mask.shape[1]] for a in range(3) for b in range(3)]
        mask = np.logical_and.reduce(shifts)
    return mask


def boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    height, width = mask.shape
    return mask & ~eroded(mask, max(1, round(0.02 * np.sqrt(height**2 + width**2))))


def reference(truth: Panoptic, prediction: Panoptic) -> dict[int, list[float]]:
    """Category id → [TP, FP, FN, sum of IoU], from the masks themselves."""
    found = {category.id: [0.0] * 4 for category in SPACE}
    matched: tuple[set[int], set[int]] = (set(), set())
    void = truth.id_map == 0
    crowd: dict[int, int] = {}
    for i, one in enumerate(truth.segments_info, 1):
        mask = truth.id_map == i
        if one.iscrowd:
            crowd[one.category_id] = i
            continue
        for j, other in enumerate(prediction.segments_info, 1):
            own = prediction.id_map == j
            if one.category_id != other.category_id or not (mask & own).any():
                continue
            area = mask.sum() if one.declared_area is None else one.declared_area
            iou = (mask & own).sum() / (own.sum() + area - (mask & own).sum() - (own & void).sum())
            edge, own_edge = boundary(mask), boundary(own)
            common = (edge & own_edge).sum()
            iou = min(iou, common / (own_edge.sum() + edge.sum() - common - (own_edge & void).sum()))
            if iou > 0.5:
                found[one.category_id][0] += 1
                found[one.category_id][3] += iou
                matched[0].add(i)
                matched[1].add(j)
    for i, one in enumerate(truth.segments_info, 1):
        found[one.category_id][2] += i not in matched[0] and not one.iscrowd
    for j, other in enumerate(prediction.segments_info, 1):
        own = prediction.id_map == j
        forgiven = void | (truth.id_map == crowd.get(other.category_id, -1))
        found[other.category_id][1] += j not in matched[1] and (own & forgiven).sum() / own.sum() <= 0.5
    return found


def line(truth: Panoptic, prediction: Panoptic) -> dict:
    columns = {"overlap": Overlap.of(truth, prediction).to_json(), "boundary": boundary_column(truth, prediction)}
    return {"image_id": "x", **json.loads(json.dumps(columns))}


def equal(truth: Panoptic, prediction: Panoptic) -> int:
    """Compares one scene; how many pairs matched."""
    expected = reference(truth, prediction)
    table = boundary_table(Columns.of([line(truth, prediction)], SPACE), SPACE).table
    for category, row in zip(SPACE, table.per_class, strict=True):
        tp, fp, fn, iou = expected[category.id]
        assert (tp, fp, fn) == (row.TP, row.FP, row.FN)
        if tp + fp + fn:
            assert pytest.approx(iou / (tp + fp / 2 + fn / 2), abs=1e-12) == row.PQ
    return int(sum(row[0] for row in expected.values()))


def enlarged(side: Side, times: int) -> Panoptic:
    """Blocks of pixels, so that segments have an inside."""
    infos = {
        s["id"]: SegmentInfo(s["category_id"], bool(s["iscrowd"]), declared_area=times**2 * s["area"])
        for s in side.segments_info
    }
    return Panoptic.from_ids(np.kron(side.ids, np.ones((times, times), np.int64)), infos)


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(scene=scenes())
def test_equals_the_published_rule_on_drawn_scenes(scene: Scene) -> None:
    equal(enlarged(scene.truth, 9), enlarged(scene.prediction, 9))


def test_equals_the_published_rule_where_masks_differ_by_pixels() -> None:
    """Discs that the prediction moves by a pixel, on 120 x 160 (d = 4)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:120, :160]
    matched = 0
    for _ in range(6):
        truth, prediction = np.ones((2, 120, 160), np.int64)
        for number in range(2, 8):
            row, column, radius = rng.integers(10, 110), rng.integers(10, 150), rng.integers(8, 30)
            shift = rng.integers(-1, 2, 3)
            truth[(y - row) ** 2 + (x - column) ** 2 < radius**2] = number
            prediction[(y - row - shift[0]) ** 2 + (x - column - shift[1]) ** 2 < (radius + shift[2]) ** 2] = number
        truth[:6], prediction[:, -5:] = 0, 0
        infos = {k: SegmentInfo(SPACE.ids[k % len(SPACE)], iscrowd=False) for k in range(1, 8)}
        matched += equal(*(
            panoptic(ids, {k: info for k, info in infos.items() if (ids == k).any()}) for ids in (truth, prediction)
        ))  # fmt: skip
    assert matched >= 15


def test_the_boundary_of_a_map_is_that_of_each_mask() -> None:
    rng = np.random.default_rng(1)
    for reach in (1, 2, 3, 5, 7):
        ids = np.kron(rng.integers(0, 4, (4, 5)), np.ones((8, 7), np.int64)).astype(np.int32)
        found = boundary_map(ids, reach)
        for i in range(1, 4):
            mask = ids == i
            np.testing.assert_array_equal(found == i, mask & ~eroded(mask, reach))
        np.testing.assert_array_equal(found == 0, ids == 0)


def test_the_width_is_two_percent_of_the_diagonal() -> None:
    assert [dilation_px(size) for size in ((1, 1), (480, 640), (1024, 2048), (256, 512))] == [1, 16, 46, 11]


def test_a_perfect_prediction_and_the_mean_boundary_iou() -> None:
    one = panoptic(np.kron(np.array([[1, 1, 2], [3, 1, 2]]), np.ones((20, 20), np.int64)), {
        1: SegmentInfo(1), 2: SegmentInfo(70), 3: SegmentInfo(1)})  # fmt: skip
    found = boundary_table(Columns.of([line(one, one)], SPACE), SPACE)
    assert found.table.groups.all.PQ == 1
    assert found.iou == (1.0, None, None, 1.0, None, None)
    assert found.to_json()["boundary_IoU"] == {"all": 1.0, "things": 1.0, "stuff": 1.0}


def test_boundary_pq_is_never_above_pq() -> None:
    rng = np.random.default_rng(2)
    truth = np.kron(rng.integers(1, 5, (4, 4)), np.ones((10, 10), np.int64))
    prediction = np.where(rng.random(truth.shape) < 0.05, 0, np.roll(truth, 1, axis=1))
    one, two = (panoptic(ids, {i: SegmentInfo(i) for i in (1, 2, 3)} | {4: SegmentInfo(70)})
                for ids in (truth, prediction))  # fmt: skip
    overlap = Overlap.of(one, two)
    columns = Columns.of([line(one, two)], SPACE)
    ious = boundary_ious(columns)[scored_pairs(columns)]
    assert len(ious) and ((ious >= 0) & (ious <= 1)).all()
    plain = {c: t.iou_sum / (t.tp + 0.5 * t.fp + 0.5 * t.fn) for c, t in pq_stat(overlap).items()}
    for category, row in zip(SPACE, boundary_table(columns, SPACE).table.per_class, strict=True):
        assert row.PQ is None or plain[category.id] >= row.PQ


def test_a_run_without_boundaries_says_how_to_get_them() -> None:
    with pytest.raises(DataError, match="repeat it with --metrics boundary"):
        boundary_table(Columns.of(image_lines(1), SPACE), SPACE)
