"""Availability of weights and packages, and the digest of weights."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from bench.errors import ModelError, require_packages
from bench.io.hashing import FileDigests, files_digest, folder_digest
from bench.models.environments import interpreter
from bench.models.hub import STEMS, resolve_commit
from bench.models.spec import ModelSpec


def check_available(spec: ModelSpec) -> None:
    """Raise ModelError if packages, weights or the Python of an environment are missing, before any import or download.

    Of a user's own adapter only the existence of its path is checked.
    """
    require_packages(f"{spec.name}/{spec.checkpoint}", spec.needs)
    for part in spec.parts.values():
        check_available(part)
    if spec.env is not None:
        interpreter(spec.env)
    if not spec.local or spec.parts or spec.weightless:
        return
    folder = Path(spec.source)
    if spec.is_user_adapter:
        if not folder.exists():
            raise ModelError(f"{folder}: there is no such path; correct `path:` or write `weights: none`")
        return
    if spec.framework is not None:
        if not folder.is_file():
            fetch = f"download {spec.url} to there" if spec.url else "copy it there"
            raise ModelError(f"{folder}: there is no such checkpoint; {fetch}, or give --checkpoint FILE")
        return
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json here; a checkpoint is a folder in hub format")
    if weights_file(folder) is None:
        raise ModelError(f"{folder}: no weights (model.safetensors or pytorch_model.bin) here; copy them there")


def weights_file(folder: Path) -> Path | None:
    """Return the weights file in a folder that a loader uses, safetensors first; None if there is none."""
    names = [name for stem in STEMS for name in (stem, f"{stem}.index.json")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def weights_digest(spec: ModelSpec, exclude: Collection[Path] = (), digests: FileDigests | None = None) -> str:
    """Return the sha256 of the weights files (see `folder_digest`), or `repo@commit` for the hub; of submodels, joined.

    `exclude` are paths inside the weights folder that are not part of the weights.
    """
    digests = digests or FileDigests()
    if spec.parts:
        return " + ".join(weights_digest(part, exclude, digests) for part in spec.parts.values())
    if spec.weightless:
        return "none"
    if not spec.local:
        return f"{spec.source}@{resolve_commit(spec.source, spec.revision)}"
    if spec.framework is not None:
        # The config decides what a framework's network computes, and so do its bases.
        configs = [(f"config {k}", path) for k, path in enumerate(_with_bases(Path(spec.framework.config)))]
        return files_digest([("weights", Path(spec.source)), *configs], digests)
    return folder_digest(Path(spec.source), spec.files, exclude, digests)


def _with_bases(config: Path) -> list[Path]:
    """Return a framework's config file and, recursively, its base configs (`_base_` in Python, `_BASE_` in YAML)."""
    if not config.is_file():
        return []
    text = config.read_text(encoding="utf-8", errors="replace")
    named = re.search(r"^_base_\s*=\s*(\[[^]]*\]|\S.*)$|^_BASE_\s*:\s*(.*)$", text, re.MULTILINE | re.IGNORECASE)
    bases = re.findall(r"[^\s'\"\[\](),]+", next(filter(None, named.groups()), "")) if named else []
    return [config, *(path for base in bases for path in _with_bases(config.parent / base))]
