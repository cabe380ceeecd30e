"""What makes a run the same run, and what run.json records beyond that."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import write_model, write_tree

from bench.datasets.dataset import Dataset
from bench.datasets.registry import load_dataset
from bench.errors import DataError, UsageError
from bench.evaluation.identity import model_identity
from bench.evaluation.run import run
from bench.io.files import read_json
from bench.io.hashing import FileDigests
from bench.models.adapter import torch_threads
from bench.models.hub import repo_folder
from bench.models.resolve import resolve_model, with_commits
from bench.models.user_code import user_code
from bench.models.weights import weights_digest
from bench.results.run import read_run


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    write_tree(tmp_path / "data", 2)
    return load_dataset("cityscapes", tmp_path / "data")


def test_threads_are_told_where_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 3))
    assert torch_threads() == 3
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_threads() is None


def test_other_threads_are_no_other_run(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml, folders = str(write_model(tmp_path)), []
    for threads in (3, 5):
        monkeypatch.setattr("bench.evaluation.identity.torch_threads", lambda threads=threads: threads)
        done = run(yaml, data, tmp_path / "out", overwrite=True)
        assert done.meta.threads == threads
        folders.append(done.folder)
    assert folders[0] == folders[1]


def test_a_run_that_does_not_tell_its_threads_is_read(data: Dataset, tmp_path: Path) -> None:
    done = run(str(write_model(tmp_path)), data, tmp_path / "out")
    file = done.folder / "run.json"
    meta = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({name: value for name, value in meta.items() if name != "threads"}), "utf-8")
    assert "threads" not in read_json(done.folder / "run.json")
    file.write_text(json.dumps({**meta, "threads": "two"}), "utf-8")
    with pytest.raises(DataError, match="threads: expected int, found 'two'"):
        read_run(done.folder)


def test_a_hub_model_is_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch that moved on is another model; parts of a composed one, too."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = []
    for commit in ("a" * 40, "b" * 40):
        for size in ("large", "small"):
            reference = repo_folder(f"facebook/mask2former-swin-{size}-cityscapes-panoptic") / "refs" / "main"
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(commit, encoding="utf-8")
        spec = with_commits(resolve_model("compose/cityscapes/swin", "cityscapes"))
        assert {part.revision for part in spec.parts.values()} == {commit}
        found.append(weights_digest(spec))
        assert found[-1].count(f"@{commit}") == 2
        spec = with_commits(resolve_model("mask2former", "cityscapes"))
        identity = model_identity(spec, user_code(spec), FileDigests())
        assert identity["weights"] == f"facebook/mask2former-swin-large-cityscapes-panoptic@{commit}"
    assert found[0] != found[1]


def test_a_run_without_semantic_maps_is_another_run(data: Dataset, tmp_path: Path) -> None:
    """Maps that an adapter makes all the same are dropped."""
    yaml = str(write_model(tmp_path))
    both, alone = (run(yaml, data, tmp_path / "out", semantic=semantic) for semantic in (True, False))
    assert both.folder != alone.folder
    recorded = [read_json(one.folder / "run.json")["model"] for one in (both, alone)]
    assert "semantic" not in recorded[0] and recorded[1]["semantic"] is False
    assert both.score.mIoU.semantic is not None and alone.score.mIoU.semantic is None
    assert both.score.PQ == alone.score.PQ
    assert all(line["semantic"] is None for line in alone.lines())


def test_labels_without_instances_need_the_semantic_map(data: Dataset, tmp_path: Path) -> None:
    labels = replace(data, carries=("semantic",))
    with pytest.raises(UsageError, match="--no-semantic: cityscapes has semantic labels only"):
        run(str(write_model(tmp_path)), labels, tmp_path / "out", semantic=False)


@pytest.mark.parametrize(
    ("model", "where", "device", "expected"),
    [
        ("mask2former", "auto", "cpu", None),
        ("mask2former", "auto", "cuda", "device"),
        ("mask2former", "cpu", "cuda", None),
        ("mask2former", "device", "cpu", "device"),
        ("efficientps", "auto", "cuda", None),
    ],
)
def test_fusion_on_a_device_is_another_run(model: str, where: str, device: str, expected: str | None) -> None:
    spec = resolve_model(f"{model}/minicity/tiny", "minicity", overrides={"postprocess": where})
    assert model_identity(spec, user_code(spec), FileDigests(), device=device).get("postprocess") == expected


def test_a_compiled_network_is_another_model() -> None:
    spec = resolve_model("mask2former/minicity/tiny", "minicity")
    usual, compiled = (
        model_identity(one, user_code(one), FileDigests()) for one in (spec, replace(spec, compile=True))
    )
    assert "compile" not in usual and compiled == {**usual, "compile": True}


def test_an_adapter_that_does_not_compile_is_an_error(data: Dataset, tmp_path: Path) -> None:
    spec = replace(resolve_model(str(write_model(tmp_path)), "cityscapes"), compile=True)
    with pytest.raises(UsageError, match="--compile: Bands does not compile its network"):
        run(spec, data, tmp_path / "out")


def test_only_queries_are_fused_on_a_device() -> None:
    with pytest.raises(UsageError, match="postprocess: only queries"):
        resolve_model("efficientps/minicity/tiny", "minicity", overrides={"postprocess": "device"})
