"""Other label spaces through the command line: mapped predictions, semantic truth, the audit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fakes import LABELS, SIZE, instance_ids, rgb_of, write_model
from PIL import Image
from place import Call, Place

from bench.datasets.label_map_files import load_map, map_digest
from bench.datasets.label_spaces import load_space


def only_run(out: Path) -> Path:
    (found,) = out.glob("*/mine/*")
    return found


def test_a_model_of_19_classes_on_the_reduced_ones(place: Place, call: Call) -> None:
    answer = call("run", "--model", place.model, "--dataset", "cityscapes-ika", "--data-root", place.data,
                  "--out", place.out, "--json")  # fmt: skip
    assert answer.code == 0, answer.err
    score = json.loads(answer.out)
    assert [row["name"] for row in score["per_class"]][:3] == ["road", "sidewalk", "building"]
    assert score["PQ"]["all"]["PQ"] > 0.3
    assert score["mIoU"]["semantic"] > 0.5
    meta = json.loads((only_run(place.out) / "run.json").read_text(encoding="utf-8"))
    sha256 = map_digest(load_map("cityscapes-to-ika"))
    assert meta["label_map"]["sha256"] == meta["dataset"]["label_map"]["sha256"] == sha256
    assert meta["dataset"]["base"] == "cityscapes"
    again = call("score", "--dataset", "cityscapes-ika", "--data-root", place.data, "--json",
                 "--predictions", only_run(place.out) / "predictions")  # fmt: skip
    assert json.loads(again.out) == score  # what was saved is in the space that was scored


def test_without_a_map_a_run_is_the_run_it_was(place: Place, call: Call) -> None:
    assert call(*place.arguments()).code == 0
    meta = json.loads((place.run / "run.json").read_text(encoding="utf-8"))
    assert "label_map" not in meta
    assert "label_map" not in meta["dataset"]


def test_no_map_between_the_spaces(place: Place, call: Call) -> None:
    yaml = place.model.read_text(encoding="utf-8")
    place.model.write_text(yaml.replace("cityscapes-19", "ika-12"), encoding="utf-8")
    answer = call(*place.arguments())
    assert answer.code == 2
    for word in ("ika-12", "cityscapes-19", "--label-map"):
        assert word in answer.err
    answer = call(*place.arguments("--label-map", "cityscapes-to-ika"))
    assert (answer.code, answer.out) == (2, "")
    assert "does not lead from ika-12" in answer.err


@pytest.fixture
def ika(tmp_path: Path) -> Path:
    """Three images of the fake world in ika's layout."""
    target_of = load_map("cityscapes-to-ika").category_of
    none = load_space("ika-12").void[0]
    root = tmp_path / "ika"
    for folder in ("input", "label"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        rng = np.random.default_rng(number)
        ids = instance_ids(rng)
        colors = np.full((*SIZE, 3), none.color, dtype=np.uint8)
        for label in LABELS:
            if (to := target_of[label]) is not None:
                colors[np.where(ids < 1000, ids, ids // 1000) == label] = to.color
        Image.fromarray(rgb_of(ids, rng)).save(root / "input" / f"{number}.png")
        Image.fromarray(colors).save(root / "label" / f"{number}_gtFine_labelColor.png")
    return root


def test_semantic_truth_has_miou_and_no_pq(place: Place, ika: Path, call: Call) -> None:
    arguments = ["--model", place.model, "--dataset", "ika", "--data-root", ika, "--out", place.out]
    answer = call("run", *arguments, "--checkpoint", "plain", "--json")
    assert answer.code == 0, answer.err
    assert "ika has semantic labels only: there is mIoU, but no PQ" in answer.err
    score = json.loads(answer.out)
    assert score["PQ"]["all"] == {"PQ": None, "SQ": None, "RQ": None, "n": 0}
    assert score["mIoU"]["panoptic"] is None
    assert 0.5 < score["mIoU"]["semantic"] < 1
    line = json.loads((only_run(place.out) / "images-0-of-1.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert line["overlap"] is None
    assert call("leaderboard", "--results", place.out).code == 0
    assert call("report", only_run(place.out), "--data-root", ika).code == 0
    text = (only_run(place.out) / "report" / "report.md").read_text(encoding="utf-8")
    assert "Map of predictions of mine. Out of reach: no class. Ceiling of a model" in text
    assert re.search(r"\| pole \| pole, traffic light, traffic sign, polegroup \| [0-9.]+ \|", text)


def test_pq_of_semantic_truth_is_refused(place: Place, ika: Path, call: Call) -> None:
    answer = call("data", "damage", "ika", "--data-root", ika, "--out", place.folder / "damaged")
    assert (answer.code, answer.out) == (2, "")
    assert "no PQ" in answer.err
    least = place.folder / "least"
    answer = call("run", "--model", write_model(least, "Least"), "--dataset", "ika", "--checkpoint", "plain",
                  "--data-root", ika, "--out", place.out)  # fmt: skip
    assert answer.code == 3
    assert "the prediction has no semantic map" in answer.err


def test_the_audit_of_a_map(place: Place, call: Call) -> None:
    answer = call("data", "map", "cityscapes-ika", "--data-root", place.data, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["images"] == 6
    assert found["sha256"] == map_digest(load_map("cityscapes-to-ika"))
    assert found["ceiling"] == {"PQ": 1.0, "mIoU": 1.0}
    assert found["pixels"]["all"] == 6 * SIZE[0] * SIZE[1]
    said = call("data", "map", "cityscapes-ika", "--data-root", place.data).out
    assert "ceiling: PQ 100.0, mIoU 100.0" in said
    answer = call("data", "map", "cityscapes", "--data-root", place.data)
    assert answer.code == 2
    assert "has no label map" in answer.err


def test_an_audit_is_kept_beside_a_run_on_the_mapped_truth(place: Place, scored: Path, call: Call) -> None:
    data = ["--data-root", place.data]
    arguments = ["run", "--model", place.model, "--dataset", "cityscapes-ika", *data, "--out", place.out]
    assert call(*arguments).code == 0
    run = only_run(place.out)
    for keep, more, word in ((scored, (), "not mapped by"), (run, ("--limit", 2), "other images")):
        refused = call("data", "map", "cityscapes-ika", *data, "--keep", keep, *more)
        assert (refused.code, refused.out) == (2, "") and word in refused.err
    kept = call("data", "map", "cityscapes-ika", *data, "--record", run, "--json")
    assert kept.code == 0 and json.loads((run / "label_map.json").read_text("utf-8")) == json.loads(kept.out)
