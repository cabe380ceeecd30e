"""bench suite and bench check, whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from place import Call, Place

SUITE = """\
title: two live runs and a recorded one
runs:
  - {name: bands, model: ./mine.yaml, dataset: cityscapes}
  - {name: ika, model: ./mine.yaml, dataset: cityscapes-ika, limit: 4}
  - {name: recorded, predictions: recorded, dataset: cityscapes}
"""


@pytest.fixture
def suite(place: Place, scored: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CITYSCAPES_DATASET", str(place.data))
    (place.folder / "recorded").symlink_to(scored / "predictions")
    path = place.folder / "suite.yaml"
    path.write_text(SUITE)
    return path


def test_a_suite_runs_resumes_and_survives_a_failure(suite: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    out = suite.parent / "out"
    plan = call("suite", suite, "--out", out, "--plan", "--json")
    assert [run["name"] for run in json.loads(plan.out)["runs"]] == ["bands", "ika", "recorded"]
    assert not out.exists()
    monkeypatch.setenv("FAKE_FAULT", "load")
    failed = call("suite", suite, "--out", out)
    assert failed.code == 4 and "no room for the weights" in failed.err
    assert len(list(out.glob("**/done.json"))) == 1  # the recorded one
    monkeypatch.delenv("FAKE_FAULT")
    whole = call("suite", suite, "--out", out, "--json")
    assert whole.code == 0 and len(list(out.glob("**/done.json"))) == 3
    before = {path: path.stat().st_mtime_ns for path in out.glob("**/done.json")}
    assert call("suite", suite, "--out", out, "--json").out == whole.out
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("**/done.json")}


def test_the_gate_passes_unchanged_code_and_catches_a_changed_model(suite: Path, call: Call) -> None:
    files = {kind: suite.parent / kind for kind in ("baseline", "junit", "markdown")}
    options = ["check", "--suite", suite, "--baseline", files["baseline"]]
    assert call(*options).code == 2  # no baseline yet
    assert call(*options, "--update").code == 0
    baseline = files["baseline"].read_text()
    for _ in range(2):
        same = call(*options, "--json")
        assert same.code == 0 and json.loads(same.out)["passed"]
    code = suite.parent / "mine.py"
    code.write_text(code.read_text().replace("index.shape[1] // 2 + shift", "index.shape[1] // 2 + 3 + shift"))
    worse = call(*options, "--junit", files["junit"], "--markdown", files["markdown"])
    assert worse.code == 1 and "PQ things" in worse.out
    assert "<failure" in files["junit"].read_text() and "moved beyond" in files["markdown"].read_text()
    assert files["baseline"].read_text() == baseline


def test_the_gate_catches_a_swapped_label_map(suite: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import maps

    options = ["check", "--suite", suite, "--baseline", suite.parent / "baseline", "--json"]
    assert call(*options, "--update").code == 0
    honest = maps.prediction_map

    def swapped(*arguments: Any) -> Any:
        """The same map, but car and person change places."""
        found = honest(*arguments)
        if found is None:
            return None
        names = dict(found.names)
        names["car"], names["person"] = names["person"], names["car"]
        return replace(found, names=names)

    monkeypatch.setattr("bench.launch.prediction_map", swapped)
    said = call(*options)
    assert said.code == 1
    assert {check["run"] for check in json.loads(said.out)["checks"] if not check["passed"]} == {"ika"}
