"""The demo compares all that ships with weights, and ends with one page over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from place import Call

from bench.models import resolve as demo
from bench.models.resolve import shipped_models
from bench.models.spec import ModelSpec


def test_it_takes_what_has_weights_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A YAML of a family whose checkpoint of the data set is a folder with weights; nothing names it elsewhere."""
    (before,) = (spec for spec in shipped_models("minicity") if spec.name == "mask2former")
    assert shipped_models("coco") == []
    detr = tmp_path / "weights-of-mine"
    detr.mkdir()

    def resolved(family: str, dataset: str) -> ModelSpec:
        return type(before)(**{**vars(before), "name": family, "source": str(detr)})

    monkeypatch.setattr(demo, "resolve_model", resolved)
    assert shipped_models("minicity") == []
    (detr / "model.safetensors").write_bytes(b"")
    assert {"detr", "maskformer", "mask2former"} <= {spec.name for spec in shipped_models("minicity")}


def test_it_ends_with_a_report_over_all_of_them(tmp_path: Path, call: Call) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    answer = call("demo", "--out", tmp_path, "--limit", 1)
    assert answer.code == 0, answer.err
    *_, page = answer.out.splitlines()
    assert page == str(tmp_path / "report" / "index.html")
    text = Path(page).read_text(encoding="utf-8")
    for spec in shipped_models("minicity"):
        assert f'data-run="{spec.name}"' in text
        assert f"  {spec.name}" in answer.out
    assert 'data-run="damaged-truth"' in text
