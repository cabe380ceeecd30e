"""PQ against panopticapi's own `pq_compute_single_core`, on drawn scenes: counts equal, IoU to 1e-12."""

from __future__ import annotations

import contextlib
import io
import os
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from scenes import SPACE, Scene, scenes

from bench.metrics.pq import pq_table, tally, total
from bench.overlap import Overlap

evaluation = pytest.importorskip("panopticapi.evaluation", reason="panopticapi is not installed")

PARITY_SCENES = int(os.environ.get("BENCH_PARITY_SCENES", "10000"))
COCO_CATEGORIES = {c.id: {"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in SPACE}


def _rgb(ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)


def reference(scene: Scene, patch: pytest.MonkeyPatch) -> Any:
    """panopticapi's PQStat of one scene, its image reader fed from memory."""
    pngs = {os.path.join("gt", "x"): _rgb(scene.truth.ids), os.path.join("pred", "x"): _rgb(scene.prediction.ids)}
    gt, pred = (
        {"image_id": "x", "file_name": "x", "segments_info": [dict(s) for s in side.segments_info]}
        for side in (scene.truth, scene.prediction)
    )
    with patch.context() as inside, contextlib.redirect_stdout(io.StringIO()):
        inside.setattr(evaluation, "Image", SimpleNamespace(open=pngs.__getitem__))
        return evaluation.pq_compute_single_core(0, [(gt, pred)], "gt", "pred", COCO_CATEGORIES)


def _assert_equal(ours: dict[int, Any], theirs: Any) -> None:
    for category in SPACE:
        one, other = ours.get(category.id), theirs[category.id]
        counts = (one.tp, one.fp, one.fn) if one else (0, 0, 0)
        assert counts == (other.tp, other.fp, other.fn), category
        assert float(one.iou if one else 0) == pytest.approx(other.iou, rel=1e-12, abs=0)
    table = pq_table(ours, SPACE)
    for group, isthing in ((table.all, None), (table.things, True), (table.stuff, False)):
        if group.n == 0:  # where panopticapi divides by zero
            with pytest.raises(ZeroDivisionError):
                theirs.pq_average(COCO_CATEGORIES, isthing)
            continue
        mean, _ = theirs.pq_average(COCO_CATEGORIES, isthing)
        assert group.n == mean["n"]
        assert (group.pq, group.sq, group.rq) == pytest.approx(
            (mean["pq"], mean["sq"], mean["rq"]), rel=1e-12, abs=1e-12
        )


def _compare(scenes_to_draw: int) -> Counter[str]:
    """Draws the scenes, compares each and the sum of all; returns how many and what they held."""
    seen: Counter[str] = Counter()
    all_ours: dict[int, Any] = {}
    all_theirs = evaluation.PQStat()

    @settings(max_examples=scenes_to_draw, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(scene=scenes())
    def compare(scene: Scene) -> None:
        nonlocal all_ours, all_theirs
        overlap = Overlap.of(scene.truth.panoptic(), scene.prediction.panoptic())
        ours, theirs = tally(overlap), reference(scene, pytest.MonkeyPatch())
        _assert_equal(ours, theirs)
        all_ours = total([all_ours, ours])
        all_theirs += theirs
        seen.update(scenes=1, tp=sum(t.tp for t in ours.values()), fp=sum(t.fp for t in ours.values()),
                    fn=sum(t.fn for t in ours.values()), **_traits(scene))  # fmt: skip

    compare()
    _assert_equal(all_ours, all_theirs)
    return seen


def _traits(scene: Scene) -> dict[str, int]:
    """Which of the awkward cases this scene is; the tests demand that every one was met."""
    truth, predicted = scene.truth.segments_info, scene.prediction.segments_info
    crowds = Counter(s["category_id"] for s in truth if s["iscrowd"])
    counted = Counter(scene.truth.ids.ravel().tolist())
    return {
        "void": int(counted[0] > 0),
        "crowds_of_one_category": int(max(crowds.values(), default=0) > 1),
        "wrong_area": int(any(s["area"] != counted[s["id"]] for s in truth)),
        "wide_ids": int(any(s["id"] > 65535 for s in truth)),
        "id_zero_predicted": int(any(s["id"] == 0 for s in predicted)),
        "empty_prediction": int(not predicted),
    }


def _check(seen: Counter[str], wanted: int) -> None:
    print(dict(seen))
    assert seen["scenes"] >= wanted
    traits = _traits(EMPTY)
    assert all(seen[trait] for trait in [*traits, "tp", "fp", "fn"]), seen


EMPTY = Scene(*(SimpleNamespace(ids=np.zeros((1, 1), np.int64), segments_info=[]),) * 2)  # type: ignore[arg-type]


def test_equals_panopticapi() -> None:
    _check(_compare(500), 500)


@pytest.mark.parity
def test_equals_panopticapi_on_many_scenes() -> None:
    _check(_compare(PARITY_SCENES), PARITY_SCENES)
