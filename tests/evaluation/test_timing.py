"""Latency: what is timed, in what order, and how it is kept. The clock is the test's own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import DataError
from bench.evaluation.timing import measure
from bench.models.adapter import Adapter
from bench.results.latency import FILE, Latency, percentile, read_latency, write_latency
from bench.types import Categories, Category, Image, Panoptic, Prediction, Sample, SegmentInfo

SPACE = Categories((Category(1, "road", isthing=False, color=(0, 0, 0)),))
COST = {"preprocess": 1.0, "infer": 2.0, "wait": 4.0, "postprocess": 8.0}


class Clock:
    """Time passes only where the model says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Model:
    """Its stages cost what `COST` says; image k costs k more in `infer`."""

    categories = SPACE

    def __init__(self, clock: Clock, device: str = "cpu") -> None:
        self.clock, self.device = clock, device
        self.calls: list[str] = []

    def _spend(self, stage: str, more: float = 0.0) -> None:
        self.calls.append(stage)
        self.clock.now += COST[stage] + more

    def preprocess(self, image: Image) -> Image:
        self._spend("preprocess")
        return image

    def infer(self, batch: Sequence[Image]) -> Sequence[Image]:
        assert len(batch) == 1
        self._spend("infer", float(batch[0].image_id))
        return batch

    def postprocess(self, output: Image, size: tuple[int, int]) -> Prediction:
        self._spend("postprocess")
        return Prediction(Panoptic(np.ones(size, dtype=np.int32), (SegmentInfo(1),)))


class Waiting(Model):
    def synchronize(self) -> None:
        self._spend("wait")


def samples(clock: Clock, count: int = 3) -> list[Sample]:
    def read(k: int) -> Image:
        clock.now += 1000.0  # reading a file is not the model's time
        return Image(str(k), np.zeros((2, 3, 3), dtype=np.uint8))

    def no_target() -> Panoptic:
        raise AssertionError("a timing has no use for the truth")

    return [Sample(str(k), "g", lambda k=k: read(k), no_target) for k in range(count)]  # type: ignore[misc]


def timed(model: Any, **more: Any) -> list[dict[str, float]]:
    adapter: Adapter = model
    return measure(adapter, samples(model.clock), clock=model.clock, **more)


def test_stages_are_timed_one_image_after_the_other() -> None:
    model = Model(Clock())
    rows = timed(model, warm_up=0)
    assert rows == [{"preprocess": 1.0, "infer": 2.0 + k, "postprocess": 8.0, "total": 11.0 + k} for k in range(3)]
    assert model.calls == ["preprocess", "infer", "postprocess"] * 3


def test_the_device_is_waited_for_before_the_next_stage() -> None:
    model = Waiting(Clock(), "cuda")
    assert timed(model, warm_up=0)[0] == {"preprocess": 1.0, "infer": 6.0, "postprocess": 8.0, "total": 15.0}


def test_without_a_way_to_wait_a_gpu_has_no_stages() -> None:
    assert timed(Model(Clock(), "cuda"), warm_up=0)[0] == {"total": 11.0}


def test_images_to_warm_up_do_not_count() -> None:
    model = Model(Clock())
    rows = timed(model, warm_up=5)
    assert [row["total"] for row in rows] == [11.0, 12.0, 13.0]
    assert model.calls.count("infer") == 5 + 3


def test_a_latency_comes_back_as_it_was_written(tmp_path: Path) -> None:
    latency = Latency({"total": (0.1, 0.3, 0.2)}, 10, "cpu", "fp32", "a processor", "2026-01-01", "abc")
    write_latency(tmp_path, latency)
    assert read_latency(tmp_path) == latency
    said = json.loads((tmp_path / FILE).read_text())
    assert (said["n"], said["batch_size"], said["warm_up"]) == (3, 1, 10)
    assert said["summary"]["total"] == pytest.approx({"p50": 0.2, "p95": 0.29})


def test_percentiles_lie_between_the_nearest_two() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile([7.0], 95) == 7.0


def test_no_file_is_no_latency_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert read_latency(tmp_path) is None
    for text in ("{}", '{"seconds": {"total": []}}', "[]"):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(DataError, match=r"timing\.json.*--timing"):
            read_latency(tmp_path)
