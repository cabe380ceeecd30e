"""A run that fails leaves nothing under way, also while somebody holds its error."""

import threading
from pathlib import Path

import pytest
from fakes import write_model, write_tree

from bench.datasets.registry import load_dataset
from bench.errors import ModelError
from bench.evaluation.run import run
from bench.models.resolve import resolve_model


@pytest.mark.parametrize("kind", ["infer", "postprocess"])
def test_a_failed_run_ends_its_threads(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path / "data", 40)
    data = load_dataset("cityscapes", tmp_path / "data")
    monkeypatch.setenv("FAKE_FAULT", f"{data.samples[3].image_id}={kind}")
    before = set(threading.enumerate())
    with pytest.raises(ModelError) as error:
        run(resolve_model(str(write_model(tmp_path)), "cityscapes"), data, tmp_path / "out")
    assert set(threading.enumerate()) == before, error.value
