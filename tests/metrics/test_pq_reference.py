"""PQ against panopticapi's own `pq_compute_single_core`, on drawn scenes: counts equal, IoU to 1e-12."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from pngs import Memory, png
from scenes import SPACE, Scene, scenes, seeded_scene

from bench import overlap, types
from bench.io import png_runs
from bench.io.coco import PanopticFile
from bench.metrics.pq import pq_stat, pq_table, sum_stats
from bench.overlap import Overlap

evaluation = pytest.importorskip("panopticapi.evaluation", reason="panopticapi is not installed")

PARITY_SCENES = int(os.environ.get("BENCH_PARITY_SCENES", "100000"))
Producer = Callable[[Scene], Overlap]


def from_arrays(scene: Scene) -> Overlap:
    return Overlap.of(scene.truth.panoptic(), scene.prediction.panoptic())


def from_files(scene: Scene) -> Overlap:
    """By runs, from two PNGs; the filter types go by the pixels."""
    kinds = [int(kind) % 5 for kind in scene.prediction.ids[0]]
    truth, prediction = (
        PanopticFile(Memory("x.png", png(side.ids, kinds)), {"segments_info": side.segments_info}, SPACE.ids)
        for side in (scene.truth, scene.prediction)
    )
    joined = png_runs.join(truth, prediction)
    assert joined is not None
    return joined.overlap


def by_numpy(scene: Scene) -> Overlap:
    """From arrays, as where no kernel was compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(types, "_kernel", None)
        patch.setattr(overlap, "_kernel", None)
        return from_arrays(scene)


# Every way to an overlap is held to the reference.
PRODUCERS: dict[str, Producer] = {"arrays": from_arrays, "numpy": by_numpy}
if png_runs.available():
    PRODUCERS["files"] = from_files
COCO_CATEGORIES = {c.id: {"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in SPACE}


def _rgb(ids: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)


def reference(scene: Scene) -> Any:
    """panopticapi's PQStat of one scene; inside `from_memory`."""
    pngs = {os.path.join("gt", "x"): _rgb(scene.truth.ids), os.path.join("pred", "x"): _rgb(scene.prediction.ids)}
    gt, pred = (
        {"image_id": "x", "file_name": "x", "segments_info": [dict(s) for s in side.segments_info]}
        for side in (scene.truth, scene.prediction)
    )
    evaluation.Image.open = pngs.__getitem__
    return evaluation.pq_compute_single_core(0, [(gt, pred)], "gt", "pred", COCO_CATEGORIES)


@pytest.fixture
def from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """panopticapi's image reader and its chatter, out of the way."""
    monkeypatch.setattr(evaluation, "Image", SimpleNamespace())
    monkeypatch.setattr(evaluation, "print", lambda *_: None, raising=False)


def _assert_equal(ours: dict[int, Any], theirs: Any) -> None:
    for category in SPACE:
        one, other = ours.get(category.id), theirs[category.id]
        counts = (one.tp, one.fp, one.fn) if one else (0, 0, 0)
        assert counts == (other.tp, other.fp, other.fn), category
        assert (one.iou_sum if one else 0) == pytest.approx(other.iou, rel=1e-12, abs=0)
    table = pq_table(ours, SPACE)
    for group, isthing in ((table.groups.all, None), (table.groups.things, True), (table.groups.stuff, False)):
        if group.n == 0:  # where panopticapi divides by zero
            with pytest.raises(ZeroDivisionError):
                theirs.pq_average(COCO_CATEGORIES, isthing)
            continue
        mean, _ = theirs.pq_average(COCO_CATEGORIES, isthing)
        assert group.n == mean["n"]
        assert pytest.approx((mean["pq"], mean["sq"], mean["rq"]), rel=1e-12, abs=1e-12) == (
            group.PQ,
            group.SQ,
            group.RQ,
        )


@dataclass
class Comparison:
    """Compares scene by scene, then the sum of all; counts what the scenes held."""

    producer: Producer
    seen: Counter[str] = field(default_factory=Counter)
    ours: dict[int, Any] = field(default_factory=dict)
    theirs: Any = field(default_factory=evaluation.PQStat)

    def add(self, scene: Scene) -> None:
        ours, theirs = pq_stat(self.producer(scene)), reference(scene)
        _assert_equal(ours, theirs)
        self.ours = sum_stats([self.ours, ours])
        self.theirs += theirs
        counts = {name: sum(getattr(one, name) for one in ours.values()) for name in ("tp", "fp", "fn")}
        self.seen.update(scenes=1, **counts, **_traits(scene))

    def check(self, wanted: int) -> None:
        print(dict(self.seen))
        _assert_equal(self.ours, self.theirs)
        assert self.seen["scenes"] >= wanted
        assert all(self.seen[trait] for trait in [*_traits(EMPTY), "tp", "fp", "fn"]), self.seen


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


EMPTY = Scene(*(SimpleNamespace(ids=np.zeros((1, 1), np.int64), segments_info=[]),) * 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("producer", PRODUCERS)
@pytest.mark.usefixtures("from_memory")
def test_equals_panopticapi(producer: str) -> None:
    """Drawn by hypothesis, which shrinks what differs."""
    comparison = Comparison(PRODUCERS[producer])
    settings(max_examples=500, deadline=None, database=None, derandomize=True,
             suppress_health_check=list(HealthCheck))(given(scene=scenes())(comparison.add))()  # fmt: skip
    comparison.check(500)


def with_absent(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with entries of the truth that no pixel has, at any place of the list: things, stuff and crowds."""
    listed = list(scene.truth.segments_info)
    for number in range(int(rng.integers(1, 4))):
        gone = {"id": (1 << 24) - 1 - number, "category_id": int(rng.choice(SPACE.ids)), "area": 5}
        listed.insert(int(rng.integers(len(listed) + 1)), {**gone, "iscrowd": int(rng.random() < 0.4)})
    return replace(scene, truth=replace(scene.truth, segments_info=listed))


@pytest.mark.usefixtures("from_memory")
def test_equals_panopticapi_where_the_truth_lists_segments_without_pixels() -> None:
    seen = Counter[str]()
    for seed in range(400):
        rng = np.random.default_rng(seed)
        scene = with_absent(seeded_scene(rng), rng)
        truth, prediction = (
            PanopticFile(Memory("x.png", png(side.ids)), {"segments_info": side.segments_info}, SPACE.ids, is_truth)
            for side, is_truth in ((scene.truth, True), (scene.prediction, False))
        )
        assert png_runs.join(truth, prediction) is None
        found = Overlap.of(truth(), prediction())
        theirs = reference(scene)
        _assert_equal(pq_stat(found), theirs)
        assert pq_stat(Overlap.from_json(found.to_json())) == pq_stat(found)
        gone = [s for s in found.truth if not s.area]
        seen.update(isthing=sum(not s.iscrowd and SPACE.isthing[SPACE.index_of[s.category_id]] for s in gone))
        seen.update(crowd=sum(s.iscrowd for s in gone), segments=len(gone))
        strict = replace(found, truth=found.truth[: len(found.truth) - len(gone)])
        assert pq_stat(found, protocol="strict") == pq_stat(strict, protocol="strict")
    assert 0 < seen["isthing"] < seen["segments"] - seen["crowd"] and seen["crowd"] > 100


@pytest.mark.parity
@pytest.mark.parametrize("producer", PRODUCERS)
@pytest.mark.usefixtures("from_memory")
def test_equals_panopticapi_on_many_scenes(producer: str) -> None:
    comparison = Comparison(PRODUCERS[producer])
    for seed in range(PARITY_SCENES):
        try:
            comparison.add(seeded_scene(np.random.default_rng(seed)))
        except AssertionError as error:
            raise AssertionError(f"scene {seed}: {error}") from error
    comparison.check(PARITY_SCENES)
