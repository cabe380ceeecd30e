"""Shards and their merge: any cut gives what the whole run gives; what is missing or doubled is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fakes import write_model, write_tree

from bench.datasets.dataset import Dataset
from bench.datasets.registry import load_dataset
from bench.errors import DataError, PartialRun, UsageError
from bench.evaluation.run import run
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.results.merge import merge
from bench.results.run import Run
from bench.results.shards import WHOLE, Shard, parse_shard


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data")
    write_tree(root, images=7)
    return load_dataset("cityscapes", root)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return resolve_model(str(write_model(tmp_path_factory.mktemp("model"))), "cityscapes")


@pytest.fixture(scope="module")
def whole(data: Dataset, model: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(model, data, tmp_path_factory.mktemp("whole"), batch_size=2)


def shards(model: ModelSpec, data: Dataset, out: Path, count: int, skip: int = -1) -> Path:
    """Runs the shards but one, the last first; the folder they share."""
    (folder,) = {
        run(model, data, out, batch_size=2, shard=Shard(k, count)).folder for k in reversed(range(count)) if k != skip
    }
    return folder


@pytest.mark.parametrize("count", [2, 3, 7])
def test_any_split_is_the_whole(data: Dataset, model: ModelSpec, whole: Run, tmp_path: Path, count: int) -> None:
    folder = shards(model, data, tmp_path, count)
    assert not (folder / "done.json").exists()
    merged = merge([folder])
    assert merged.done is not None and whole.done is not None
    assert folder.name == whole.folder.name
    for name in ("images-0-of-1.jsonl", "predictions/predictions.json"):
        assert (folder / name).read_bytes() == (whole.folder / name).read_bytes()
    for name in ("score", "key", "images_sha256"):
        assert getattr(merged.done, name) == getattr(whole.done, name)
    timed = [json.loads(line)["image_id"] for line in (folder / "timings-0-of-1.jsonl").read_text().splitlines()]
    assert timed == [sample.image_id for sample in data.samples]
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.folder.iterdir()}
    assert merge([folder]).done == merged.done
    assert run(model, data, tmp_path, batch_size=2).done == merged.done  # found, not run again


def test_shards_of_several_folders(data: Dataset, model: ModelSpec, whole: Run, tmp_path: Path) -> None:
    folders = [run(model, data, tmp_path / str(k), batch_size=2, shard=Shard(k, 2)).folder for k in (0, 1)]
    merged = merge(folders)
    assert merged.folder == folders[0]
    assert merged.done is not None and whole.done is not None
    assert merged.done.images_sha256 == whole.done.images_sha256
    pictures = {path.name for path in (whole.folder / "predictions").glob("*.png")}
    assert {path.name for path in (folders[0] / "predictions").glob("*.png")} == pictures


def test_a_missing_image_is_named(data: Dataset, model: ModelSpec, tmp_path: Path) -> None:
    folder = shards(model, data, tmp_path, 3, skip=1)
    with pytest.raises(PartialRun, match=f"{data.samples[2].image_id}' and 1 more are in no shard"):
        merge([folder])
    run(model, data, tmp_path, batch_size=2, shard=Shard(1, 3))
    file = folder / "images-2-of-3.jsonl"
    text = file.read_bytes()
    file.write_bytes(text[:-10])  # torn by a kill
    with pytest.raises(PartialRun, match=f"{data.samples[5].image_id}' is in no shard"):
        merge([folder])
    file.write_bytes(text)
    assert merge([folder]).done is not None


def test_a_doubled_image_is_named(data: Dataset, model: ModelSpec, tmp_path: Path) -> None:
    folder = shards(model, data, tmp_path, 2)
    run(model, data, tmp_path, batch_size=2, shard=Shard(1, 3))
    with pytest.raises(DataError, match=r"image '\w+' is in .*images-\d-of-\d.jsonl and in .*remove one"):
        merge([folder])
    (folder / "images-1-of-3.jsonl").unlink()
    assert merge([folder]).done is not None


def test_an_interrupted_merge_is_repeated(data: Dataset, model: ModelSpec, whole: Run, tmp_path: Path) -> None:
    folder = shards(model, data, tmp_path, 2)
    shutil.copy(whole.folder / "images-0-of-1.jsonl", folder)  # as if it had been killed before done.json
    merged = merge([folder])
    assert merged.done is not None and whole.done is not None
    assert merged.done.images_sha256 == whole.done.images_sha256


def test_what_is_not_of_one_run_is_refused(data: Dataset, model: ModelSpec, tmp_path: Path) -> None:
    one = run(model, data, tmp_path / "a", batch_size=2, shard=Shard(0, 2)).folder
    two = run(model, data.limited(4), tmp_path / "b", shard=Shard(1, 2)).folder
    with pytest.raises(DataError, match="differ in dataset, batch_size"):
        merge([one, two])
    (one / "image_ids.json").write_text('["x"]')
    with pytest.raises(DataError, match="belongs to another run"):
        merge([one])
    (one / "image_ids.json").unlink()
    with pytest.raises(PartialRun, match="no shard has finished"):
        merge([one])


def test_a_shard_resumes_and_repeats_alone(data: Dataset, model: ModelSpec, tmp_path: Path) -> None:
    folder = shards(model, data, tmp_path, 2)
    kept = (folder / "images-0-of-2.jsonl").stat().st_mtime_ns
    run(model, data, tmp_path, batch_size=2, shard=Shard(1, 2), overwrite=True)
    assert (folder / "images-0-of-2.jsonl").stat().st_mtime_ns == kept
    assert merge([folder]).score.images == 7


def test_the_shard_option() -> None:
    assert (parse_shard("1/4"), parse_shard("0/1")) == (Shard(1, 4), WHOLE)
    for wrong in ("4/4", "1", "-1/2", "a/b", "0/0"):
        with pytest.raises(UsageError, match="is not I/N"):
            parse_shard(wrong)
