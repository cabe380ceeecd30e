"""bench models fetch, and how bench doctor tells half a download; nothing here reaches a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from place import Call

from bench.cli import doctor
from bench.models import hub

COMMIT = "c" * 40
SHARD = "pytorch_model-00001-of-00001.bin"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache before a hub whose repositories hold OneFormer's files."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    def download(repo: str, *, revision: str, allow_patterns: list[str], cache_dir: Path) -> None:
        folder = hub.snapshot(repo, revision)
        folder.mkdir(parents=True, exist_ok=True)
        for name in allow_patterns:
            (folder / name).write_text(json.dumps({"weight_map": {"a": SHARD}} if "index" in name else {}))

    files = ["config.json", "vocab.json", "merges.txt", "pytorch_model.bin.index.json", SHARD, "README.md"]
    monkeypatch.setattr(hub, "_hub_commit", lambda repo, revision: COMMIT)
    monkeypatch.setattr(hub, "_hub_files", lambda repo, revision: files)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return tmp_path


def test_a_checkpoint_is_fetched_and_its_place_is_printed(cache: Path, call: Call) -> None:
    folder = cache / "models--shi-labs--oneformer_coco_swin_large" / "snapshots" / COMMIT
    answer = call("models", "fetch", "oneformer", "--dataset", "coco", "--json")
    assert answer.code == 0, answer.err
    (told,) = json.loads(answer.out)
    assert told == {
        "model": "oneformer/coco/swin-large",
        "repo": "shi-labs/oneformer_coco_swin_large",
        "commit": COMMIT,
        "path": str(folder),
        "files": {file.name: file.stat().st_size for file in folder.iterdir()},
    }
    assert {"config.json", "vocab.json", "merges.txt", SHARD} <= set(told["files"]) and "README.md" not in told["files"]
    answer = call("models", "fetch", "oneformer/coco/swin-large")
    assert answer.out.startswith(f"oneformer/coco/swin-large: {folder} (5 files, 0.0 MB, shi-labs/oneformer_coco")


def test_what_is_local_is_only_told(call: Call) -> None:
    answer = call("models", "fetch", "compose", "--dataset", "minicity", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert [one["model"] for one in told] == ["maskformer/minicity/tiny", "efficientps/minicity/tiny"]
    assert all("model.safetensors" in one["files"] and one["commit"] is None for one in told)


def test_what_the_user_must_download_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("BENCH_ENVS", str(tmp_path))
    answer = call("models", "fetch", "panoptic-fpn-d2")
    assert (answer.code, answer.out) == (4, "")
    assert "there is no such checkpoint; download https://" in " ".join(answer.err.split())


def test_doctor_tells_half_a_download(cache: Path, call: Call) -> None:
    name = "weights: oneformer/coco/swin-large"

    def told() -> Any:
        return doctor.examine()[name]

    assert told() == "not downloaded"
    call("models", "fetch", "oneformer/coco/swin-large")
    assert told() == "there"
    folder = hub.snapshot("shi-labs/oneformer_coco_swin_large", COMMIT)
    (folder / SHARD).unlink()
    assert told() == "half (`bench models fetch oneformer/coco/swin-large` completes it)"
    call("models", "fetch", "oneformer/coco/swin-large")
    assert told() == "there"
    assert doctor.examine()["weights: mask2former/minicity/tiny"] == "there"
