"""Latency: what is timed, in what order, and how it is kept. The clock is the test's own."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.errors import DataError
from bench.evaluation.timing import Gauges, measure, measure_batches, timed_batches
from bench.models.adapter import Adapter
from bench.models.nvml import energy_counter
from bench.reports.timing import timing_lines, timing_table
from bench.results.timing import FILE, Throughput, Timing, read_timing, write_timing
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
        self._spend("infer", sum(float(image.image_id) for image in batch))
        return batch

    def postprocess(self, output: Image, size: tuple[int, int]) -> Prediction:
        self._spend("postprocess")
        return Prediction(Panoptic(np.ones(size, dtype=np.int32), (SegmentInfo(1),)))


class Waiting(Model):
    def synchronize(self) -> None:
        self._spend("wait")


def samples(clock: Clock, count: int = 3) -> list[Sample]:
    def read(k: int) -> Image:
        clock.now += 1000.0  # reading a file is not a part of the total
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
    assert rows == [
        {"read": 1000.0, "preprocess": 1.0, "infer": 2.0 + k, "postprocess": 8.0, "total": 11.0 + k} for k in range(3)
    ]
    assert model.calls == ["preprocess", "infer", "postprocess"] * 3


def test_the_device_is_waited_for_before_the_next_stage() -> None:
    model = Waiting(Clock(), "cuda")
    assert timed(model, warm_up=0)[0] == {
        "read": 1000.0, "preprocess": 1.0, "infer": 6.0, "postprocess": 8.0, "total": 15.0,
    }  # fmt: skip


def test_without_a_way_to_wait_a_gpu_has_no_stages() -> None:
    assert timed(Model(Clock(), "cuda"), warm_up=0)[0] == {"read": 1000.0, "total": 11.0}


def test_images_to_warm_up_do_not_count() -> None:
    model = Model(Clock())
    rows = timed(model, warm_up=5)
    assert [row["total"] for row in rows] == [11.0, 12.0, 13.0]
    assert model.calls.count("infer") == 5 + 3


def test_batches_are_timed_without_reading_and_without_the_warm_up() -> None:
    model = Model(Clock())
    adapter: Adapter = model  # type: ignore[assignment]
    cuts = timed_batches(samples(model.clock, 9), 4)
    assert [len(cut) for cut in cuts] == [4] * 5, "three for the warm-up; the ninth image does not fill a batch"
    joules = iter(range(100, 1000, 7))
    done: list[int] = []
    found = measure_batches(
        adapter, cuts, clock=model.clock, joules=lambda: float(next(joules)), tick=lambda: done.append(1)
    )
    # Batches 4 and 5 hold images 3 to 8 and 0 to 1 of the cycle: 12 … 19 modulo 9.
    more = sum(k % 9 for k in range(12, 20))
    assert found == Throughput(8, 4, 8 * (1.0 + 8.0) + 2 * 2.0 + more, 7.0)
    assert (found.images_per_second, found.joules_per_image) == (8 / found.seconds, 7 / 8)
    assert len(done) == 20


def test_few_images_fill_a_batch_again_and_again() -> None:
    assert [[s.image_id for s in cut] for cut in timed_batches(samples(Clock(), 2), 3)][-1] == ["0", "1", "0"]


def a_timing(n: int, **more: Any) -> Timing:
    """Totals of 1 to n ms; reading takes a tenth of that."""
    total = tuple(k / 1000 for k in range(1, n + 1))
    seconds = {"read": tuple(x / 10 for x in total), "total": total}
    return Timing(seconds, 10, "cpu", "fp32", "a processor", "2026-01-01", "abc", **more)


def test_percentiles_lie_between_the_nearest_two() -> None:
    timing = a_timing(101)
    assert [timing.percentile(at) for at in (50, 95, 99)] == pytest.approx([0.051, 0.096, 0.1])
    assert timing.percentile(95, "whole") == pytest.approx(0.096 * 1.1)
    assert a_timing(4).p50 == a_timing(4).percentile(50) == 0.0025


@pytest.mark.parametrize(("n", "known"), [(1, 1), (19, 1), (20, 2), (99, 2), (100, 3)])
def test_a_percentile_of_too_few_images_is_refused_with_the_reason(n: int, known: int) -> None:
    timing = a_timing(n)
    found = [timing.percentile(at) for at in (50, 95, 99)]
    assert [value is not None for value in found] == [True] * known + [False] * (3 - known)
    assert list(timing.reasons()) == ["p50", "p95", "p99"][known:]
    # Where it is given, at least one image lies above it.
    assert all(value < max(timing.seconds["total"]) for value in found[1:] if value is not None)
    if known < 3:
        assert timing.summary()["summary"]["total"]["p99"] is None
        assert timing.reasons()["p99"] == f"needs 100 images, {n} were measured"
        assert f"p99 needs 100 images, {n} were measured" in timing_lines(timing)[-1]
    assert [cell == "–" for cell in timing_table(timing).rows[0][1:]] == [value is None for value in found]


def test_a_timing_comes_back_as_it_was_written(tmp_path: Path) -> None:
    timing = a_timing(
        100, throughput=Throughput(96, 32, 4.0, 12.0), process_peak_bytes=10**9, notes={"device peak": "needs one"}
    )
    write_timing(tmp_path, timing)
    assert read_timing(tmp_path) == timing
    said = json.loads((tmp_path / FILE).read_text())
    assert (said["n"], said["batch_size"], said["warm_up"]) == (100, 1, 10)
    assert said["summary"]["total"] == pytest.approx({"p50": 0.0505, "p95": 0.09505, "p99": 0.09901})
    assert (said["throughput"]["images_per_second"], said["throughput"]["joules_per_image"]) == (24.0, 0.125)
    assert said["device_peak_bytes"] is None and said["notes"] == {"device peak": "needs one"}


def test_a_timing_of_an_older_version_is_read(tmp_path: Path) -> None:
    seconds = {name: [0.1, 0.3, 0.2] for name in ("preprocess", "infer", "postprocess", "total")}
    about = {"n": 3, "batch_size": 1, "warm_up": 10, "device": "cpu", "precision": "fp32", "hardware": "h"}
    old = {**about, "date": "2026-01-01", "commit": None, "summary": {"total": {"p50": 0.2}}, "seconds": seconds}
    (tmp_path / FILE).write_text(json.dumps(old))
    timing = read_timing(tmp_path)
    assert timing is not None and (timing.p50, timing.throughput, timing.peak_bytes) == (0.2, None, None)
    assert [row[0] for row in timing_table(timing).rows] == ["preprocess", "infer", "postprocess", "total, from pixels"]


def test_no_file_is_no_timing_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert read_timing(tmp_path) is None
    about = '"warm_up": 1, "device": "cpu", "precision": "fp32", "hardware": "h", "date": "d"'
    uneven = f'{{"seconds": {{"total": [1], "read": [1, 2]}}, {about}}}'
    batches = '"throughput": {"images": 0, "batch_size": 1, "seconds": 1}'
    nothing = f'{{"seconds": {{"total": [1]}}, {about}, {batches}}}'
    for text in ("{}", '{"seconds": {"total": []}}', "[]", uneven, nothing):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(DataError, match=r"timing\.json.*--timing"):
            read_timing(tmp_path)


class Nvml(ModuleType):
    """Stands in for pynvml, for the arithmetic alone: no NVIDIA device was at hand."""

    class NVMLError(Exception):
        pass

    millijoules = 5000

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != "GPU-one":
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        self.millijoules += 2500
        return self.millijoules


def test_energy_is_in_joules_or_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml("pynvml"))
    read, reason = energy_counter("one")
    assert read is not None and reason == ""
    assert -(read() - read()) == 2.5
    assert energy_counter("two") == (None, "is not known to NVML (Not Found)")
    assert energy_counter(None) == (None, "needs an NVIDIA device")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_counter("one") == (None, "needs nvidia-ml-py: pip install 'panoptic-bench[energy]'")


def test_the_peak_of_the_process_is_that_of_the_measuring() -> None:
    big = np.ones(40_000_000)  # 320 MB
    del big
    gauges = Gauges(Model(Clock()), "cpu")
    before = gauges.peaks()
    if "process peak" in before["notes"]:
        pytest.skip("this system cannot reset the peak of a process")
    some = np.ones(10_000_000)  # 80 MB
    after = gauges.peaks()
    assert 70e6 < after["process_peak_bytes"] - before["process_peak_bytes"] < 200e6, some.size
    assert after["device_peak_bytes"] is None and set(after["notes"]) == {"energy", "device peak"}
