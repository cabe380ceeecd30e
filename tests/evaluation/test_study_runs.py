"""A whole little study by one command: train, score, contrast, resume, survive a failure; the page that it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from little import STUDY, Call, write_study

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")


def test_a_study_trains_scores_resumes_and_writes_its_page(study: Path, call: Call) -> None:
    out = study.parent / "out"
    code, said, err = call("suite", study, "--out", out, "--shard", "1/2", "--json")
    assert code == 0 and json.loads(said)["trainings"] == ["base seed 1"], err
    assert not (out / "index.html").exists()
    part = {path: path.stat().st_mtime_ns for path in out.glob("trainings/*/*/model.safetensors")}

    code, said, err = call("suite", study, "--out", out, "--json")
    assert code == 0, err
    told = json.loads(said)
    assert [(row["training"], row["seed"]) for row in told["trainings"]] == [("base", 0), ("base", 1), ("clip-1", 3)]
    (verdict,) = told["contrasts"]
    assert verdict["seeds"] == "seeds: 12.71 standard errors, by the scatter in one training"
    assert len(list(out.glob("cityscapes-ika-val/**/done.json"))) == 2

    page = (out / "index.html").read_text(encoding="utf-8")
    assert "A little &lt;b&gt;study&lt;/b&gt;" in page and "Two steps &amp; no more." in page
    assert page.count("<svg") == len(list(out.glob("figures/*.svg"))) == 4 and "allows no conclusion" not in page
    assert "gradient clip" in (out / "study.md").read_text(encoding="utf-8")

    weights = {path: path.stat().st_mtime_ns for path in out.glob("trainings/*/*/model.safetensors")}
    assert len(weights) == 3 and part.items() <= weights.items()
    assert call("suite", study, "--out", out, "--json")[1] == said
    assert weights == {path: path.stat().st_mtime_ns for path in weights}

    changed = write_study(study.parent, STUDY.replace("0.001", "0.002"))
    code, said, err = call("suite", changed, "--out", out, "--json")
    assert code == 2 and "was trained by a recipe that differs in optimizer" in json.loads(said)["errors"][0]
    assert len(json.loads(said)["trainings"]) == 2 and "Not all of it is here" in (out / "index.html").read_text()


def test_a_quick_look_stands_apart_and_concludes_nothing(tmp_path: Path, call: Call) -> None:
    study = write_study(tmp_path, STUDY.replace("seeds: [0, 1]", "seeds: [0]"))
    out = study.parent / "out"
    code, said, err = call("suite", study, "--out", out, "--quick", "--json")
    assert code == 0, err
    assert [path.name for path in out.iterdir()] == ["quick"]
    assert {one["verdict"] for one in json.loads(said)["contrasts"]} == {"none (quick look)"}
    assert "allows no conclusion" in (out / "quick" / "index.html").read_text(encoding="utf-8")


def test_the_plan_alone_trains_nothing(study: Path, call: Call) -> None:
    out = study.parent / "out"
    code, said, _ = call("suite", study, "--out", out, "--plan", "--json")
    assert code == 0 and json.loads(said)["trainings"][0]["seeds"] == [0, 1] and not out.exists()
