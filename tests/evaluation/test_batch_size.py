"""`--batch-size auto` on accelerators that a test makes up; the model runs out of memory beyond FAKE_MOST images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import write_model, write_tree
from PIL import Image

from bench.datasets.dataset import Dataset
from bench.datasets.registry import load_dataset
from bench.errors import ModelError, PartialRun, UsageError
from bench.evaluation import batch_size
from bench.evaluation.run import run
from bench.io.files import read_json
from bench.results.run import Run
from bench.results.shards import Shard
from bench.types import Sample

Auto = Callable[..., Run]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    write_tree(tmp_path / "data", 10)
    return load_dataset("cityscapes", tmp_path / "data")


@pytest.fixture
def auto(tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> Auto:
    """`run` with batch size "auto" on a GPU of 100 bytes, of which nothing is ever taken."""
    yaml = str(write_model(tmp_path))
    memory(monkeypatch, 100, lambda: 0)
    usual: dict[str, Any] = {"device": "cuda", "batch_size": "auto"}
    return lambda **options: run(yaml, data, tmp_path / "out", **{**usual, **options})


def memory(monkeypatch: pytest.MonkeyPatch, limit: int | None, peak: Callable[[], int]) -> None:
    monkeypatch.setattr(batch_size, "memory_limit", lambda device: limit)
    monkeypatch.setattr(batch_size, "peak_memory", lambda device: peak())
    monkeypatch.setattr(batch_size, "empty_cache", lambda device: None)


def recorded(done: Run) -> int:
    size: int = read_json(done.folder / "run.json")["batch_size"]
    return size


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (2, 2), (3, 2), (5, 4), (99, 8)])
def test_the_largest_that_fits(auto: Auto, monkeypatch: pytest.MonkeyPatch, most: int, expected: int) -> None:
    """Of ten images at most eight: a power of two."""
    monkeypatch.setenv("FAKE_MOST", str(most))
    assert recorded(auto()) == expected


def test_nothing_fits(auto: Auto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MOST", "0")
    with pytest.raises(PartialRun, match="out of memory for 1 images; give --precision bf16"):
        auto()


@pytest.mark.parametrize(("taken", "expected"), [(80, 4), (81, 2)])
def test_some_memory_is_left(auto: Auto, monkeypatch: pytest.MonkeyPatch, taken: int, expected: int) -> None:
    """Bytes that batches of 2, 4 and 8 take."""
    peaks = iter([10, taken, 90])
    memory(monkeypatch, 100, lambda: next(peaks))
    assert recorded(auto()) == expected


def test_half_where_memory_cannot_be_measured(auto: Auto, monkeypatch: pytest.MonkeyPatch) -> None:
    memory(monkeypatch, None, lambda: 0)
    assert recorded(auto()) == 4


def test_one_on_the_cpu_without_a_probe(auto: Auto, monkeypatch: pytest.MonkeyPatch) -> None:
    no_probe(monkeypatch)
    done = auto(device="cpu")
    assert recorded(done) == 1
    assert auto(device="cpu", batch_size=1).folder == done.folder


def no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> int:
        raise AssertionError("another probe")

    monkeypatch.setattr("bench.evaluation.run.probed_batch_size", fail)


def test_an_interrupted_run_keeps_its_size(auto: Auto, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less free memory now, another probe would find another size, and begin another run."""
    monkeypatch.setenv("FAKE_FAULT", f"{data.samples[9].image_id}=postprocess")
    monkeypatch.setenv("FAKE_MOST", "4")
    with pytest.raises(ModelError, match="9 of 10 images are scored and kept"):
        auto()
    monkeypatch.delenv("FAKE_FAULT")
    no_probe(monkeypatch)
    done = auto()
    assert recorded(done) == 4 and done.done is not None
    assert auto().reused
    assert len(list(done.folder.parent.iterdir())) == 1


def test_other_runs_are_no_record(auto: Auto, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose size was given, or one with another setting, does not settle the size."""
    monkeypatch.setenv("FAKE_MOST", "4")
    assert recorded(auto(batch_size=2)) == 2
    assert recorded(auto(protocol="strict")) == 4
    monkeypatch.setenv("FAKE_MOST", "8")
    assert recorded(auto()) == 8


def test_out_of_memory_later_names_the_next_size(auto: Auto, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines before are kept. The probe sees only the first of the pictures, which are all of one size."""
    monkeypatch.setenv("FAKE_FAULT", f"{data.samples[9].image_id}=memory")
    monkeypatch.setenv("FAKE_MOST", "4")
    with pytest.raises(PartialRun, match="give --batch-size 2") as error:
        auto()
    assert error.value.exit_code == 5 and "8 of 10 images are scored and kept" in str(error.value)


def test_shards_need_one_size(auto: Auto) -> None:
    with pytest.raises(UsageError, match="give a number"):
        auto(shard=Shard(0, 2))


def test_the_largest_pictures_are_tried(tmp_path: Path) -> None:
    """By their headers: the largest, the widest and the highest."""
    read: list[int] = []

    def sample(number: int, size: tuple[int, int]) -> Sample:
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)
        return Sample(str(number), "", lambda: read.append(number), lambda: None, image_file=path)  # type: ignore

    sizes = [(10, 10), (40, 50), (10, 90), (30, 5), (20, 30)]
    batch_size._largest([sample(k, size) for k, size in enumerate(sizes)])
    assert read == [1, 2, 3]
