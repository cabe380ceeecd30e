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
SMALL = "{shorter: 64, longer: 128, divisor: 1}"
INPUTS = {"eomt": SQUARE, "detr": SMALL, "mask2former": "", "maskformer": "{shorter: 64, longer: 128}",
          "oneformer": "{shorter: 64, longer: 128}"}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def two_scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """minicity:demo in a cache of its own, which ends after two scenes."""
    from bench.datasets.minicity import write

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setitem(write.MINICITY.splits, "demo", 2)  # type: ignore[arg-type]
        yield


def options(family: str, folder: Path) -> list[object]:
    """Random weights pass no threshold, so every query is kept."""
    chosen = ["fusion.score_threshold=0.0", "fusion.overlap_threshold=0.0"]
    if INPUTS[family]:
        chosen.append(f"folders.minicity.input={INPUTS[family]}")
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
