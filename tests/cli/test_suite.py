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


def test_a_suite_names_the_code_that_no_import_names(suite: Path, call: Call) -> None:
    code = suite.parent / "mine.py"
    code.write_text(code.read_text() + "\nimport importlib\nimportlib.import_module('hid' + 'den')\n")
    (suite.parent / "hidden.py").touch()
    answer = call("suite", suite, "--out", suite.parent / "out", "--json")
    assert answer.code == 0
    assert answer.err.count("hidden.py); changes there are not detected") == 2  # of three runs, two of the model


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
    from bench.datasets import label_map_files as maps

    options = ["check", "--suite", suite, "--baseline", suite.parent / "baseline", "--json"]
    assert call(*options, "--update").code == 0
    honest = maps.find_label_map

    def swapped(*arguments: Any) -> Any:
        """The same map, but car and person change places."""
        found = honest(*arguments)
        if found is None:
            return None
        names = dict(found.names)
        names["car"], names["person"] = names["person"], names["car"]
        return replace(found, names=names)

    monkeypatch.setattr("bench.evaluation.run.find_label_map", swapped)
    said = call(*options)
    assert said.code == 1
    assert {check["run"] for check in json.loads(said.out)["checks"] if not check["passed"]} == {"ika"}


FUSED = '''

class Fused(Bands):
    """Leaves it to the fusion to make segments; of about one pixel in a hundred it is hardly sure."""

    def __init__(self, spec, device="auto"):
        super().__init__(spec, device)
        self.fusion = spec.fusion

    def infer(self, batch):
        return [(image.rgb[..., 0] // 12, image.rgb[..., 1]) for image in batch]

    def postprocess(self, output, size):
        import torch
        from bench.fusion.queries import ImageGeometry, fuse

        index, doubt = (torch.from_numpy(part.astype(np.int64)) for part in output)
        classes = torch.arange(len(self.categories))
        masks = (index == classes[:, None, None]) * torch.where(doubt < 3, 5.1, 9.0) - 5.0
        logits = 20.0 * torch.eye(len(classes), len(classes) + 1)
        return Prediction(fuse(logits, masks, ImageGeometry(size, size, size), self.categories, self.fusion))
'''


def test_the_gate_catches_half_a_point_lost_in_the_fusion(
    suite: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A threshold that is 0.05 too high leaves void what nobody else won."""
    pytest.importorskip("torch")
    from bench.fusion import queries

    for name, old, new in (("mine.py", "", FUSED), ("mine.yaml", "mine.py:Bands", "mine.py:Fused")):
        file = suite.parent / name
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    suite.write_text(SUITE.partition("  - {name: ika")[0], encoding="utf-8")
    options = ["check", "--suite", suite, "--baseline", suite.parent / "baseline"]
    assert call(*options, "--update").code == 0
    assert call(*options).code == 0
    honest = queries.assign_by_tiles

    def faulty(tiles: Any, scores: Any, threshold: float) -> Any:
        return honest(tiles, scores, threshold + 0.05)

    monkeypatch.setattr(queries, "assign_by_tiles", faulty)
    said = call(*options, "--json")
    assert said.code == 1
    moved = {check["metric"]: check["delta"] for check in json.loads(said.out)["checks"] if not check["passed"]}
    assert -0.7 < moved["PQ all"] < -0.3
    assert moved["SQ all"] < 0


def test_a_list_of_runs_has_no_shards(suite: Path, call: Call) -> None:
    refused = call("suite", suite, "--shard", "1/2")
    assert refused.code == 2 and "without trainings" in refused.err
