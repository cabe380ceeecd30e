"""Checkpoints of the Hugging Face hub: resolving revisions to commits, finding files in the cache, downloading.

Imports no framework; huggingface_hub is imported only inside functions that access the hub.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import fnmatch
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from bench.errors import ModelError, first_line

HUB_SECONDS = 15.0
CONFIG = "config.json"
# In the order in which loaders prefer them.
STEMS = ("model.safetensors", "pytorch_model.bin")
COMMIT = re.compile(r"[0-9a-f]{40}")

T = TypeVar("T")


def resolve_commit(repo: str, revision: str | None) -> str:
    """Return the commit (40 hex digits) of a revision of a repository; a commit is returned unchanged.

    A branch or tag in the cache keeps its cached commit, so that later runs need no network and load the same weights.
    Otherwise the hub is asked, within 15 s, and the cache updated. Raises ModelError if that fails.
    """
    name = revision or "main"
    if (known := cached_commit(repo, name)) is not None:
        return known
    commit = within(HUB_SECONDS, lambda: _hub_commit(repo, name), f"{repo}: the hub did not answer")
    if not COMMIT.fullmatch(commit):
        raise ModelError(f"{repo}: the hub names {commit!r} as the commit of {name}, which is none; try again later")
    # The layout of huggingface_hub's cache, so that both find what the other has downloaded.
    reference = repo_folder(repo) / "refs" / name
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit, encoding="utf-8")
    return commit


def cached_commit(repo: str, revision: str | None) -> str | None:
    """Return the commit of a revision from the cache without network access, or None if the cache has none."""
    name = revision or "main"
    if COMMIT.fullmatch(name):
        return name
    try:
        noted = (repo_folder(repo) / "refs" / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return noted if COMMIT.fullmatch(noted) else None


def fetch(repo: str, revision: str | None, more: Sequence[str] = ()) -> Path:
    """Return the cache folder of a checkpoint, after downloading missing files.

    `more` are optional files besides the configuration and the weights.
    """
    commit = resolve_commit(repo, revision)
    folder = snapshot(repo, commit)
    if missing_files(folder) or (more and not any((folder / name).is_file() for name in more)):
        _download(repo, commit, more)
    return folder


def _download(repo: str, commit: str, more: Sequence[str]) -> None:
    """Download a checkpoint at a commit, weights last: complete weights imply that the other files exist."""
    listing = within(HUB_SECONDS, lambda: _hub_files(repo, commit), f"{repo}: the hub did not answer")
    weights = weights_among(listing)
    if CONFIG not in listing or not weights:
        lacks = CONFIG if CONFIG not in listing else " and ".join(STEMS)
        raise ModelError(f"{repo}: this repository has no {lacks} at {commit[:12]}; name another in the model's YAML")
    first = [name for name in (CONFIG, *more) if name in listing]
    from huggingface_hub import snapshot_download

    # The library logs each of its retries; the outcome is one message below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        # Weights last: if they are complete, so is the rest, and an interrupted download is recognized.
        for names in (first, weights):
            snapshot_download(repo, revision=commit, allow_patterns=names, cache_dir=cache_folder())
    except Exception as error:
        raise ModelError(f"{repo}: the download failed ({first_line(error)}); run the command again") from None
    if lacking := missing_files(snapshot(repo, commit)):
        raise ModelError(f"{repo}: the download ended without {', '.join(lacking[:3])}; run the command again")


def weights_among(names: Sequence[str]) -> list[str]:
    """Return the weight files in a repository listing, whole or sharded, safetensors before pickles; [] if none."""
    for stem in STEMS:
        if stem in names:
            return [stem]
        if f"{stem}.index.json" in names:
            base, _, kind = stem.rpartition(".")
            return [f"{stem}.index.json", *sorted(fnmatch.filter(names, f"{base}-*.{kind}"))]
    return []


def missing_files(folder: Path) -> list[str]:
    """Return the missing files of a checkpoint in hub format: its configuration, its weights or shards of them."""
    lacking = [] if (folder / CONFIG).is_file() else [CONFIG]
    for stem in STEMS:
        if (folder / stem).is_file():
            return lacking
        index = folder / f"{stem}.index.json"
        if index.is_file():
            return [*lacking, *(name for name in _shards(index) if not (folder / name).is_file())]
    return [*lacking, " or ".join(STEMS)]


def _shards(index: Path) -> list[str]:
    """Return the files listed in a weight index; a message in place of a name if the index cannot be read."""
    try:
        shards = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        shards = []
    return shards or [f"a readable {index.name}"]


def state(repo: str, revision: str | None) -> Literal["there", "half", "not downloaded"]:
    """Return whether the cache holds all, a part or nothing of a checkpoint."""
    commit = cached_commit(repo, revision)
    if commit is not None and not missing_files(snapshot(repo, commit)):
        return "there"
    begun = (path for pattern in ("snapshots/*/*", "blobs/*") for path in repo_folder(repo).glob(pattern))
    return "half" if any(begun) else "not downloaded"


def snapshot(repo: str, commit: str) -> Path:
    return repo_folder(repo) / "snapshots" / commit


def repo_folder(repo: str) -> Path:
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def cache_folder() -> Path:
    """Return the hub cache, from the same environment variables as huggingface_hub."""
    # In the order in which huggingface_hub reads them; it is not imported, since that takes part of a second.
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(variable):
            return Path(chosen).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "huggingface" / "hub"


def _hub_commit(repo: str, revision: str) -> str:
    from huggingface_hub import HfApi

    return str(HfApi().model_info(repo, revision=revision).sha)


def _hub_files(repo: str, revision: str) -> list[str]:
    from huggingface_hub import HfApi

    return list(HfApi().list_repo_files(repo, revision=revision))


def within(seconds: float, call: Callable[[], T], failure: str) -> T:
    """Return `call()`, run on another thread with a time limit. Raises ModelError if it fails or times out."""
    results: list[T] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    # A thread, since huggingface_hub retries without a limit on the whole. A daemon does not keep the process alive.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    reason = first_line(errors[0]) if errors else f"no answer in {seconds:.0f} s"
    raise ModelError(f"{failure} ({reason}); download it elsewhere and give --checkpoint DIR") from None
