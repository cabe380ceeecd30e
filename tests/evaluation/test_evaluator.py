"""A run that fails leaves nothing under way, also while somebody holds its error."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import write_model, write_tree

from bench.datasets.registry import load_dataset
from bench.errors import BenchError, ModelError, PartialRun
from bench.evaluation.evaluator import predict_and_score
from bench.evaluation.identity import run_identity
from bench.evaluation.run import run
from bench.evaluation.session import RunSession
from bench.io.hashing import FileDigests
from bench.models.resolve import resolve_model
from bench.types import Categories, Image, Panoptic, Prediction, SegmentInfo


@pytest.mark.parametrize(("kind", "expected"), [("memory", PartialRun), ("postprocess", ModelError)])
def test_a_failed_run_ends_its_threads(
    kind: str, expected: type[BenchError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path / "data", 40)
    data = load_dataset("cityscapes", tmp_path / "data")
    monkeypatch.setenv("FAKE_FAULT", f"{data.samples[3].image_id}={kind}")
    before = set(threading.enumerate())
    with pytest.raises(expected) as error:
        run(resolve_model(str(write_model(tmp_path)), "cityscapes"), data, tmp_path / "out")
    assert set(threading.enumerate()) == before, error.value


class Waits:
    """A model each of whose stages waits for an event of another one: it ends only if the stages overlap.

    `infer` of a batch waits until the next batch is collated and an earlier one is in postprocess, which waits, for its
    part, for that `infer` to begin.
    """

    def __init__(self, categories: Categories, batches: int) -> None:
        self.categories = categories
        self.collated, self.inferring, self.finishing = ([threading.Event() for _ in range(batches)] for _ in range(3))
        self.threads: dict[str, set[int]] = {"collate": set(), "infer": set()}

    def preprocess(self, image: Image) -> str:
        return image.image_id

    def collate(self, batch: Sequence[str]) -> dict[str, Any]:
        number = sum(event.is_set() for event in self.collated)
        self.threads["collate"].add(threading.get_ident())
        self.collated[number].set()
        return {"number": number, "images": list(batch)}

    def infer(self, batch: Any) -> list[int]:
        number = batch["number"]
        self.threads["infer"].add(threading.get_ident())
        self.inferring[number].set()
        later = self.collated[number + 1 : number + 2]
        earlier = self.finishing[number - 1 : number] if number else []
        assert all(event.wait(60) for event in (*later, *earlier)), f"batch {number} is alone"
        return [number] * len(batch["images"])

    def postprocess(self, number: int, size: tuple[int, int]) -> Prediction:
        self.finishing[number].set()
        assert all(event.wait(60) for event in self.inferring[number + 1 : number + 2])
        return Prediction(Panoptic(np.ones(size, dtype=np.int32), (SegmentInfo(self.categories.ids[0]),)))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_collating_and_finishing_run_beside_the_network(batch_size: int, tmp_path: Path) -> None:
    write_tree(tmp_path / "data", 9)
    data = load_dataset("cityscapes", tmp_path / "data")
    model = Waits(data.categories, len(data.samples) // batch_size)
    identity = run_identity("waits", data, {}, batch_size, "coco", ())
    seen = []
    with RunSession(tmp_path / "run", data, identity, None, FileDigests()) as session:
        predict_and_score(
            model, session, batch_size=batch_size, workers=3, on_image=lambda done, total: seen.append((done, total))
        )
    assert model.threads["infer"] == {threading.get_ident()} and threading.get_ident() not in model.threads["collate"]
    assert seen[0] == (0, 9) and seen[-1] == (9, 9)
    lines = (tmp_path / "run" / "images-0-of-1.jsonl").read_text(encoding="utf-8").splitlines()
    assert [line.split('"')[3] for line in sorted(lines)] == [line.split('"')[3] for line in lines]  # in order


def test_lines_do_not_depend_on_the_threads(tmp_path: Path) -> None:
    write_tree(tmp_path / "data", 7)
    data, yaml = load_dataset("cityscapes", tmp_path / "data"), str(write_model(tmp_path))
    found = {
        (
            run(yaml, data, tmp_path / str(workers), batch_size=2, workers=workers).folder / "images-0-of-1.jsonl"
        ).read_bytes()
        for workers in (1, 2, 16)
    }
    assert len(found) == 1
