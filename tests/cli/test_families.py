"""Every family of networks through the whole command line, on two scenes of the embedded data set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import Call
from tiny_networks import FAMILIES, SIDE, save_tiny

pytest.importorskip("torch")
pytest.importorskip("transformers")

SQUARE = f"{{shorter: {SIDE}, longer: {SIDE}, divisor: {SIDE}}}"
SMALL = "{shorter: 64, longer: 128}"
INPUTS = {"eomt": SQUARE, "detr": "{shorter: 64, longer: 128, divisor: 1}", "mask2former": SMALL, "maskformer": SMALL,
          "oneformer": SMALL}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def two_scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """minicity:demo in a cache of its own, which ends after two scenes."""
    from bench.datasets.synthetic.minicity import write

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setitem(write.MINICITY.splits, "demo", 2)  # type: ignore[arg-type]
        yield


def options(family: str, folder: Path) -> list[object]:
    """Random weights pass no threshold, so every query is kept."""
    chosen = ["fusion.score_threshold=0.0", "fusion.overlap_threshold=0.0", f"folders.minicity.input={INPUTS[family]}"]
    return ["--checkpoint", folder, "--device", "cpu", *(part for value in chosen for part in ("--set", value))]


@pytest.mark.parametrize("family", FAMILIES)
def test_run_then_show(family: str, tmp_path: Path, call: Call) -> None:
    folder = save_tiny(family, tmp_path / family)
    out = tmp_path / "results"
    answer = call("run", "--model", family, "--dataset", "minicity:demo", "--limit", 2, "--out", out, "--json",
                  *options(family, folder))  # fmt: skip
    assert answer.code == 0, answer.err
    (run,) = out.glob(f"minicity-demo/{family}/*")
    annotations = json.loads((run / "predictions" / "predictions.json").read_text())["annotations"]
    assert [len(annotation["segments_info"]) >= 5 for annotation in annotations] == [True, True]
    shown = call("show", run, "--per-class", "--json")
    assert shown.code == 0
    score = json.loads(shown.out)
    assert score == json.loads(answer.out)
    assert 0 <= score["mIoU"]["semantic"] <= 1
    assert score["PQ"]["all"]["n"] > 5


OWN_YAML = """\
title: One segment
adapter: ./one.py:One
method: one-shot
fusion: {preset: mask2former}
defaults: {minicity: plain}
checkpoints:
  plain: {path: ., categories: cityscapes-19, input: {shorter: 32, longer: 64}}
"""
OWN_PY = """\
import numpy as np

from bench.types import Panoptic, Prediction, SegmentInfo


class One:
    def __init__(self, spec, device):
        self.categories = spec.space

    def predict(self, images):
        return [Prediction(Panoptic(np.ones(i.size, dtype=np.int32), (SegmentInfo(CATEGORY),))) for i in images]
"""


@pytest.mark.parametrize(("category", "code", "verdict"), [(7, 0, "ok"), (99, 1, "failed")])
def test_the_contract_of_a_users_own_model(tmp_path: Path, call: Call, category: int, code: int, verdict: str) -> None:
    (tmp_path / "one.yaml").write_text(OWN_YAML, encoding="utf-8")
    (tmp_path / "one.py").write_text(OWN_PY.replace("CATEGORY", str(category)), encoding="utf-8")
    answer = call("models", "check", tmp_path / "one.yaml", "--json")
    assert answer.code == code, answer.err
    report = json.loads(answer.out)
    assert report["model"] == "one/plain"
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert verdicts.pop("category ids") == verdict
    assert set(verdicts.values()) == {"ok"}
    assert report["failed"] == (code == 1)


def test_the_contract_of_a_network_as_a_table(tmp_path: Path, call: Call) -> None:
    folder = save_tiny("eomt", tmp_path / "eomt")
    answer = call("models", "check", "eomt", "--dataset", "minicity", *options("eomt", folder))
    assert answer.code == 0, answer.err
    assert "a batch of two sizes" in answer.out
    assert "eomt/eomt: fulfils the contract" in answer.out


def test_the_contract_of_a_checkpoint_that_is_not_there(tmp_path: Path, call: Call) -> None:
    answer = call("models", "check", "eomt", "--checkpoint", tmp_path / "nowhere")
    assert (answer.code, answer.out) == (4, "")
    assert "there is no such folder" in answer.err
