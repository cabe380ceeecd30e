"""Intact, re-scored, re-run: each said only where it was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import write_model, write_tree

from bench.analysis.verification_level import VerificationLevel, keep_rerun, scan_run, verification_level
from bench.datasets.registry import load_dataset
from bench.errors import UsageError
from bench.evaluation import run
from bench.results.predictions import saved_predictions
from bench.results.run import Run, read_run


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """The same run, made twice."""
    write_tree(tmp_path / "data", 2)
    data, yaml = load_dataset("cityscapes", tmp_path / "data"), str(write_model(tmp_path))
    return [run.run(yaml, data, tmp_path / name) for name in ("one", "two")]


def level(run: Run) -> VerificationLevel | None:
    return verification_level(scan_run(run))


def edited(run: Run, name: str, old: str, new: str) -> Run:
    path = run.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return read_run(run.folder)


def test_a_run_is_rescored_and_after_a_second_making_rerun(runs: list[Run]) -> None:
    one, two = runs
    assert level(one) == "re-scored"
    with pytest.raises(UsageError, match="--predictions"):
        keep_rerun(one, saved_predictions(one))
    keep_rerun(one, saved_predictions(two))
    assert (level(one), level(two)) == ("re-run", "re-scored")
    edited(one, "again.json", str(one.complete["images_sha256"]), "0" * 64)
    assert level(one) == "re-scored"


def test_what_was_changed_is_told(runs: list[Run]) -> None:
    one, two = runs
    assert level(edited(one, "images-0-of-1.jsonl", "aachen", "berlin")) == "changed"
    pq = json.dumps(two.score["PQ"]["all"]["PQ"])
    assert level(edited(two, "done.json", pq, "0.99")) == "intact"
    (two.folder / "images-0-of-1.jsonl").unlink()
    assert level(read_run(two.folder)) is None
