"""Predictions in files scored on forked processes: the same lines and totals as on threads, the same refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.datasets.registry import load_coco_files
from bench.errors import DataError
from bench.evaluation import evaluator
from bench.evaluation.score import score
from bench.io.coco_writer import write_panoptic
from bench.parallel import forked_map
from bench.results.predictions import open_coco_predictions
from bench.types import Panoptic, SegmentInfo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
CATEGORIES = [{"id": 1, "name": "thing", "isthing": 1}, {"id": 2, "name": "stuff", "isthing": 0}]


def write(root: Path, images: int) -> None:
    """Random maps of two segments."""
    for seed, side in enumerate(("gt", "pred")):
        (root / side).mkdir()
        annotations = []
        for number in range(images):
            ids = np.random.default_rng([seed, number]).integers(1, 3, (6, 8)).astype(np.int32)
            written = write_panoptic(root / side / f"{number}.png", Panoptic(ids, (SegmentInfo(1), SegmentInfo(2))))
            annotations.append({**written, "image_id": number})
        (root / f"{side}.json").write_text(json.dumps({"annotations": annotations, "categories": CATEGORIES}))


def scored(root: Path, out: str, workers: int) -> tuple[bytes, object]:
    made = open_coco_predictions(root / "pred.json", root / "pred", "pred")
    truth = load_coco_files(root / "gt.json", root / "gt")
    run = score(made, truth, root / out, keep_predictions="none", workers=workers)
    return (run.folder / "images-0-of-1.jsonl").read_bytes(), run.score


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of workers of every fork, which nothing here prevents."""
    seen: list[int] = []

    def spied(work, items, workers):
        seen.append(workers)
        return forked_map(work, items, workers)

    monkeypatch.setattr(evaluator, "forked_map", spied)
    monkeypatch.setattr(evaluator, "FORK_FROM", 2)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return seen


def test_lines_and_totals_are_those_of_one_thread(tmp_path: Path, forks: list[int]) -> None:
    write(tmp_path, 7)
    alone = scored(tmp_path, "one", workers=1)
    assert forks == [] and scored(tmp_path, "three", workers=3) == alone and forks == [3]


def test_a_broken_file_is_named_and_what_came_before_is_kept(tmp_path: Path, forks: list[int]) -> None:
    write(tmp_path, 7)
    sound = (tmp_path / "pred" / "4.png").read_bytes()
    (tmp_path / "pred" / "4.png").write_bytes(b"no PNG")
    with pytest.raises(DataError, match=r"4\.png.*\n4 of 7 images are scored and kept"):
        scored(tmp_path, "out", workers=2)
    (tmp_path / "pred" / "4.png").write_bytes(sound)
    assert scored(tmp_path, "out", workers=2) == scored(tmp_path, "alone", workers=1)
