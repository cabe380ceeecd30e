"""Checkpoints of transformers: a folder, or fetched from the hub; loaded as one class, or refused with the reason."""

from __future__ import annotations

import importlib.util
import json
import logging
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.adapters.class_head import restore
from bench.errors import ModelError
from bench.needs import check_packages

HUB_SECONDS = 15.0
CONFIG = "config.json"
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin*")


def fetch(repo: str, revision: str | None, more: tuple[str, ...] = ()) -> Path:
    """The folder of a hub checkpoint: the local cache, else a download; an unreachable hub ends in 15 s.

    `more` are files beside the configuration and the weights, where the repository has them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are no news: the outcome is one message
    wanted = [CONFIG, *WEIGHTS, *more]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, local_files_only=True))
    except LocalEntryNotFoundError:
        files = within(HUB_SECONDS, lambda: _hub_files(repo, revision), f"{repo}: the hub did not answer")
    safe = any(name.endswith(".safetensors") for name in files)
    chosen = [pattern for pattern in wanted if not (safe and "bin" in pattern)]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=chosen))
    except Exception as error:
        raise ModelError(f"{repo}: the download failed ({_first_line(error)}); run the command again") from None


def _hub_files(repo: str, revision: str | None) -> list[str]:
    from huggingface_hub import HfApi

    return list(HfApi().list_repo_files(repo, revision=revision))


def within(seconds: float, call: Callable[[], list[str]], failure: str) -> list[str]:
    """`call()` on a thread of its own, since name look-up and retries have no deadline of theirs."""
    results: list[list[str]] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    reason = _first_line(errors[0]) if errors else f"no answer in {seconds:.0f} s"
    raise ModelError(f"{failure} ({reason}); download it elsewhere and give --checkpoint DIR") from None


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json says."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({_first_line(error)}); copy it from the checkpoint again") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: must hold keys, not {type(config).__name__}; copy it from the checkpoint again")
    return config


def load_pretrained(folder: Path, model_class: str) -> Any:
    """The model in float32; safetensors first, else weights-only unpickling; never remote code.

    Tensors that are missing are an error. Tensors left over are one only beside those: several checkpoints
    of the hub carry parts that serve training alone.
    """
    config = read_config(folder)
    if uses_timm(config):
        check_packages(str(folder), {"detr": ("timm", "torchvision")})
    check_torchvision()
    import torch
    import transformers

    quiet: Any = transformers.logging
    quiet.disable_progress_bar()
    quiet.set_verbosity_error()
    try:
        model, report = getattr(transformers, model_class).from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except Exception as error:
        raise ModelError(
            f"{folder}: cannot be loaded as {model_class} ({_first_line(error)}); {_is_a(config, model_class)}"
        ) from None
    head = restore(model, folder, config) or None
    missing, left_over = (
        sorted(n for n in report[key] if not n.startswith(f"{head}.")) for key in ("missing_keys", "unexpected_keys")
    )
    if missing:
        raise ModelError(
            f"{folder}: {_tensors(missing)} of {model_class} are missing{_first(missing)}, and {_tensors(left_over)} "
            f"are left over{_first(left_over)}; {_is_a(config, model_class)}"
        )
    return model


def _tensors(names: list[str]) -> str:
    return f"{len(names)} tensors" if names else "none"


def _first(names: list[str]) -> str:
    return f", first {names[0]}" if names else ""


def _is_a(config: Mapping[str, Any], model_class: str) -> str:
    """What the folder's config.json says it holds, and what to do."""
    named = config.get("architectures") or [config.get("model_type") or "nothing of its architecture"]
    said = f"its config.json says {named[0]}"
    return f"{said}: take --model of that family" if named[0] != model_class else f"{said}: copy the checkpoint again"


def uses_timm(config: Mapping[str, Any]) -> bool:
    """The backbone is timm's: named so, or DETR's default, which its hub checkpoints rely on."""
    backbone = config.get("backbone_config") or {}
    default = config.get("model_type") == "detr" and not backbone
    return backbone.get("model_type") == "timm_backbone" or bool(config.get("use_timm_backbone", default))


def check_torchvision() -> None:
    """A torchvision built for another torch breaks every model of transformers, whose message hides the cause."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        pair = f"torchvision {_version('torchvision')} does not work with torch {_version('torch')}"
        raise ModelError(f"{pair} ({_first_line(error)}); install the matching build, or uninstall it") from None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
