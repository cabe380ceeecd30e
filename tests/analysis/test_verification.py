"""Checks of runs that the command line's tests do not make: semantic labels alone, and values in trees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenes import SPACE, strip

from bench.analysis.reference import verify_reference
from bench.analysis.verify import differences, verify
from bench.datasets.dataset import Dataset
from bench.errors import DataError, UsageError
from bench.evaluation.score import score
from bench.results.prediction_writer import PredictionWriter
from bench.results.predictions import saved_predictions
from bench.results.run import Run
from bench.types import Panoptic, Prediction, Sample

LABELS = np.array(strip((1, 4), (70, 5), (999, 2)), dtype=np.int32)  # (1, 11), 999 being void


def refused() -> Panoptic:
    raise UsageError("no instances")


@pytest.fixture
def semantic_run(tmp_path: Path) -> tuple[Run, Dataset]:
    """A run on semantic labels: its lines have no overlap."""
    samples = tuple(Sample(name, "", lambda: None, refused, lambda: LABELS) for name in "ab")  # type: ignore[arg-type,return-value]
    data = Dataset("tiny", "val", SPACE, samples, "cityscapes", carries=("semantic",))
    nothing = Panoptic(np.zeros(LABELS.shape, dtype=np.int32), ())
    with PredictionWriter(tmp_path / "made") as writer:
        for name in "ab":
            writer.write(name, Prediction(nothing, np.where(LABELS == 1, 2, LABELS).astype(np.int32)))
        writer.finish("ab", SPACE)
    return score(tmp_path / "made", data, tmp_path / "out"), data


def test_a_run_of_semantic_labels_is_verified_without_an_overlap(semantic_run: tuple[Run, Dataset]) -> None:
    run, data = semantic_run
    made = saved_predictions(run)
    assert made is not None
    assert [check.result for check in verify(run, made)] == ["ok"] * 6
    with pytest.raises(UsageError, match="semantic labels only"):
        verify_reference(run, data, made)


def test_the_reference_wants_every_image_of_the_run(semantic_run: tuple[Run, Dataset]) -> None:
    run, data = semantic_run
    made = saved_predictions(run)
    assert made is not None
    with pytest.raises(DataError, match="has no image 'b'"):
        verify_reference(run, replace(data, carries=("panoptic",)).limited(1), made)


def test_a_difference_is_named_by_its_place() -> None:
    stored = {"PQ": {"all": 0.5}, "per_class": [{"name": "car", "TP": 3}, {"name": "bus", "TP": 0}], "list": [1, 2]}
    computed = {"PQ": {"all": 0.25}, "per_class": [{"name": "car", "TP": 3}, {"name": "bus", "TP": 1}], "more": 1}
    assert list(differences(stored, stored)) == []
    assert list(differences(stored, computed)) == [
        "PQ.all: done.json says 0.5, the lines give 0.25",
        "per_class[bus].TP: done.json says 0, the lines give 1",
        "list: done.json says [1, 2], the lines give None",
    ]
