"""The hub's cache: what a name means, what is half there, and what is downloaded. Nothing here reaches a network."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ModelError
from bench.models import hub

pytest.importorskip("huggingface_hub")

REPO = "some-lab/net"
COMMIT, OTHER = "a" * 40, "b" * 40
Hub = Callable[..., list[Any]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that fails the test where it is asked."""
    for variable in ("HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    def asked(*given: Any, **more: Any) -> Any:
        raise AssertionError("the hub was asked")

    for name in ("_hub_commit", "_hub_files"):
        monkeypatch.setattr(hub, name, asked)
    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    return tmp_path


@pytest.fixture
def online(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """`online("config.json", ...)`: a repository with these files at COMMIT, and the list of what is asked of it."""

    def answer(*files: str, ends_after: int = 100) -> list[Any]:
        asked: list[Any] = []

        def commit(repo: str, revision: str) -> str:
            asked.append(("commit", revision))
            return COMMIT

        def listing(repo: str, revision: str) -> list[str]:
            asked.append(("files", revision))
            return list(files)

        def download(repo: str, *, revision: str, allow_patterns: list[str], cache_dir: Path) -> str:
            for name in allow_patterns:
                if len(asked) >= ends_after:
                    raise OSError("the connection was closed")
                asked.append(name)
                fill(cache, name, commit=revision)
            return ""

        monkeypatch.setattr(hub, "_hub_commit", commit)
        monkeypatch.setattr(hub, "_hub_files", listing)
        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        return asked

    return answer


def fill(cache: Path, *names: str, commit: str = COMMIT, ref: str | None = None) -> Path:
    """Files in the layout of the hub's cache; an index names two shards."""
    repo = cache / "models--some-lab--net"
    folder = repo / "snapshots" / commit
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
        (folder / name).write_text(json.dumps({"weight_map": shards} if name.endswith(".index.json") else {}))
    if ref:
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / ref).write_text(commit)
    return folder


INDEX = "model.safetensors.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def test_a_whole_checkpoint_needs_no_hub(cache: Path) -> None:
    for weights in (["model.safetensors"], ["pytorch_model.bin"], [INDEX, *SHARDS]):
        folder = fill(cache, "config.json", *weights, ref="main")
        assert hub.fetch(REPO, None) == folder
        assert hub.state(REPO, None) == "there"
        for name in weights:
            (folder / name).unlink()


@pytest.mark.parametrize(
    ("here", "lacking"),
    [
        ([], ["config.json", "model.safetensors or pytorch_model.bin"]),
        (["config.json"], ["model.safetensors or pytorch_model.bin"]),
        (["model.safetensors"], ["config.json"]),
        (["config.json", INDEX, SHARDS[0]], [SHARDS[1]]),
        (["config.json", INDEX], SHARDS),
    ],
)
def test_half_a_download_is_completed(online: Hub, cache: Path, here: list[str], lacking: list[str]) -> None:
    folder = fill(cache, *here, ref="main")
    assert hub.missing_files(folder) == lacking
    assert hub.state(REPO, "main") == ("half" if here else "not downloaded")
    asked = online("config.json", INDEX, *SHARDS, "README.md", "pytorch_model.bin")
    assert hub.fetch(REPO, None) == folder
    assert asked == [("files", COMMIT), "config.json", INDEX, *SHARDS]
    assert hub.missing_files(folder) == []


def test_an_index_that_cannot_be_read_is_no_checkpoint(cache: Path) -> None:
    folder = fill(cache, "config.json", ref="main")
    for text in ("{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}'):
        (folder / INDEX).write_text(text)
        assert hub.missing_files(folder) == [f"a readable {INDEX}"]


def test_weights_come_last_so_that_whole_weights_mean_a_whole_checkpoint(online: Hub, cache: Path) -> None:
    asked = online("vocab.json", "pytorch_model.bin", "config.json", ends_after=4)
    with pytest.raises(ModelError, match=r"the download failed \(the connection was closed\); run the command again"):
        hub.fetch(REPO, None, ("vocab.json", "merges.txt"))
    assert asked == [("commit", "main"), ("files", COMMIT), "config.json", "vocab.json"]
    assert hub.state(REPO, None) == "half"
    asked = online("vocab.json", "pytorch_model.bin", "config.json")
    hub.fetch(REPO, None, ("vocab.json", "merges.txt"))
    assert asked == [("files", COMMIT), "config.json", "vocab.json", "pytorch_model.bin"]


def test_files_beside_the_weights_are_fetched_where_none_is_here(online: Hub, cache: Path) -> None:
    fill(cache, "config.json", "model.safetensors", ref="main")
    asked = online("vocab.json", "model.safetensors", "config.json")
    hub.fetch(REPO, None, ("vocab.json", "merges.txt"))
    assert "vocab.json" in asked


def test_a_repository_without_weights_is_named(online: Hub) -> None:
    online("config.json", "README.md", "weights.ckpt")
    with pytest.raises(ModelError, match=r"some-lab/net: this repository has no model\.safetensors and pytorch_model"):
        hub.fetch(REPO, None)


def test_a_download_that_leaves_something_out_is_an_error(online: Hub) -> None:
    online("config.json", INDEX, SHARDS[0])
    with pytest.raises(ModelError, match=f"the download ended without {SHARDS[1]}; run the command again"):
        hub.fetch(REPO, None)


def test_a_commit_is_itself_and_a_known_name_is_what_it_was(cache: Path) -> None:
    assert hub.resolve_commit(REPO, OTHER) == OTHER
    fill(cache, ref="main")
    fill(cache, commit=OTHER, ref="v2")
    assert (hub.resolve_commit(REPO, None), hub.resolve_commit(REPO, "v2")) == (COMMIT, OTHER)


def test_another_name_is_asked_once(online: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = online("config.json", "model.safetensors")
    assert hub.resolve_commit(REPO, "refs/pr/3") == COMMIT
    assert hub.fetch(REPO, "refs/pr/3").name == COMMIT
    assert [what for what in asked if what[0] == "commit"] == [("commit", "refs/pr/3")]
    (cache / "models--some-lab--net" / "refs" / "main").write_text("not a commit")
    assert hub.resolve_commit(REPO, None) == COMMIT  # a broken note is asked anew


def test_a_commit_that_is_fetched_is_the_one_that_is_loaded(online: Hub, cache: Path) -> None:
    """A newer one in the cache is left alone."""
    fill(cache, "config.json", "model.safetensors", commit=OTHER, ref="main")
    asked = online("config.json", "model.safetensors")
    assert hub.fetch(REPO, COMMIT) == hub.snapshot(REPO, COMMIT)
    assert asked == [("files", COMMIT), "config.json", "model.safetensors"]
    assert hub.resolve_commit(REPO, "main") == OTHER


def test_an_unreachable_hub_ends_by_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()
    monkeypatch.setattr(hub, "HUB_SECONDS", 0.1)
    monkeypatch.setattr(hub, "_hub_commit", lambda repo, revision: str(forever.wait(5)))
    for ask in (hub.fetch, hub.resolve_commit):
        with pytest.raises(ModelError, match=r"did not answer \(no answer in 0 s\); download it elsewhere and give"):
            ask("nobody/never-there", None)
    forever.set()


def test_the_cache_is_where_huggingface_hub_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert hub.cache_folder() == tmp_path
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", "/h")
    assert hub.cache_folder() == Path("/h/hub")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert hub.cache_folder() == Path("/x/huggingface/hub")
