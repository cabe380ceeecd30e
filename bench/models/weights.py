"""Whether weights and packages are there; their digest."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from bench.errors import ModelError, require_packages
from bench.io.hashing import FileDigests, files_digest, folder_digest
from bench.models.environments import interpreter
from bench.models.hub import resolve_commit
from bench.models.spec import ModelSpec


def check_available(spec: ModelSpec) -> None:
    """Packages must be installed, a local checkpoint hold a config and weights, an environment a Python; before any
    import and download.

    What a user's own adapter needs in its folder is its own business.
    """
    require_packages(f"{spec.name}/{spec.checkpoint}", spec.needs)
    for part in spec.parts.values():
        check_available(part)
    if spec.env is not None:
        interpreter(spec.env)
    if not spec.local or spec.is_user_adapter or spec.parts or spec.weightless:
        return
    folder = Path(spec.source)
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
    """The weights that a loader would take: safetensors first."""
    stems = ("model.safetensors", "pytorch_model.bin")
    names = [name for stem in stems for name in (stem, f"{stem}.index.json")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def weights_digest(spec: ModelSpec, exclude: Collection[Path] = (), digests: FileDigests | None = None) -> str:
    """What identifies the weights: sha256 of their files (see `folder_digest`), or hub repo and commit; of parts, both.

    `exclude` are files and folders below that of the weights which are something else.
    """
    digests = digests or FileDigests()
    if spec.parts:
        return " + ".join(weights_digest(part, exclude, digests) for part in spec.parts.values())
    if spec.weightless:
        return "none"
    if not spec.local:
        return f"{spec.source}@{resolve_commit(spec.source, spec.revision)}"
    if spec.framework is not None:
        configs = [(f"config {k}", path) for k, path in enumerate(_with_bases(Path(spec.framework.config)))]
        return files_digest([("weights", Path(spec.source)), *configs], digests)
    return folder_digest(Path(spec.source), spec.files, exclude, digests)


def _with_bases(config: Path) -> list[Path]:
    """A framework's config file and those that it is based on (`_base_` in Python, `_BASE_` in YAML), in this order."""
    if not config.is_file():
        return []
    text = config.read_text(encoding="utf-8", errors="replace")
    named = re.search(r"^_base_\s*=\s*(\[[^]]*\]|\S.*)$|^_BASE_\s*:\s*(.*)$", text, re.MULTILINE | re.IGNORECASE)
    bases = re.findall(r"[^\s'\"\[\](),]+", next(filter(None, named.groups()), "")) if named else []
    return [config, *(path for base in bases for path in _with_bases(config.parent / base))]
