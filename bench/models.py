"""Which model: configs/models/*.yaml, resolved to one checkpoint, and where its weights are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from bench.config import did_you_mean, find, load_yaml, plain, shipped
from bench.errors import ModelError, UsageError
from bench.fusion.presets import PRESETS, FusionSpec
from bench.spaces import load_space
from bench.types import Categories

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Published:
    """What the authors report for a checkpoint, as fractions of one, and where they say it."""

    dataset: str
    PQ: float
    source: str
    mIoU: float | None = None


@dataclass(frozen=True)
class InputSize:
    """Test-time scale: the shorter side, unless the longer passes its limit; padded to a multiple (px)."""

    shorter: int
    longer: int
    divisor: int = 32


@dataclass(frozen=True)
class FusionChoice:
    """A preset of `bench.fusion.presets`, and thresholds that differ from it."""

    preset: str | None = None
    score_threshold: float | None = None
    overlap_threshold: float | None = None
    mask_threshold: float | None = None

    def applied_to(self, fusion: FusionSpec | None) -> FusionSpec:
        """The fusion that this choice makes of an earlier one."""
        if self.preset is not None and self.preset not in PRESETS:
            raise UsageError(f"there is no fusion preset {self.preset!r}; {did_you_mean(self.preset, PRESETS)}")
        base = PRESETS[self.preset] if self.preset else fusion
        if base is None:
            raise UsageError("the model's fusion names no preset")
        thresholds = {name: value for name, value in plain(self).items() if name != "preset" and value is not None}
        return replace(base, **thresholds)


@dataclass(frozen=True)
class Checkpoint:
    """Where weights are: a hub `repo` (at a `revision`) or a local `path`, and the space of their classes."""

    categories: str
    input: InputSize
    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    fusion: FusionChoice = FusionChoice()
    published: Published | None = None

    def __post_init__(self) -> None:
        if (self.repo is None) == (self.path is None):
            raise UsageError("a checkpoint needs either a repo or a path")


@dataclass(frozen=True)
class ModelFile:
    """configs/models/*.yaml: a model family; the YAML is its registration."""

    title: str
    adapter: str
    method: Literal["shared-backbone", "explicit", "one-shot", "cascade"]
    fusion: FusionChoice
    defaults: Mapping[str, str]
    checkpoints: Mapping[str, Checkpoint]


@dataclass(frozen=True)
class ModelSpec:
    """One model, resolved: what an adapter is built from and what a run records."""

    name: str
    adapter: str
    method: str
    checkpoint: str
    source: str
    local: bool
    revision: str | None
    categories: str
    input: InputSize
    fusion: FusionSpec
    precision: Precision = "fp32"
    published: Published | None = None

    @property
    def own_code(self) -> bool:
        """The adapter is a user's file, not one that ships."""
        return spec_file(self.adapter) is not None

    @property
    def space(self) -> Categories:
        return load_space(self.categories).scored


def resolve_model(
    name: str,
    dataset: str,
    *,
    base: str = "",
    checkpoint: str | None = None,
    precision: Precision = "fp32",
    overrides: Mapping[str, Any] | None = None,
) -> ModelSpec:
    """`mask2former`, `mask2former/cityscapes/swin-large` or `./mine.yaml`, with its checkpoint for `dataset`.

    `checkpoint` is the name of another checkpoint of the family, or a folder in hub format. A derived data set
    takes the checkpoint of its `base` where the family names none for itself.
    """
    family, _, named = name.partition("/") if not name.endswith((".yaml", ".yml")) else (name, "", "")
    path = find("models", family)
    file = load_yaml(path, ModelFile, overrides)
    usual = file.defaults.get(dataset) or file.defaults.get(Path(base).stem)
    wanted = checkpoint or named or usual
    if wanted is None:
        known = ", ".join(file.checkpoints)
        raise ModelError(f"{family} has no checkpoint for {dataset}; give --checkpoint NAME or DIR (known: {known})")
    if wanted in file.checkpoints:
        return _spec(path, file, wanted, file.checkpoints[wanted], precision)
    if Path(wanted).is_dir():
        default = usual or next(iter(file.checkpoints))
        local = replace(
            file.checkpoints[default],
            repo=None,
            path=str(Path(wanted).resolve()),
            revision=None,
            published=None,
        )
        return _spec(path, file, Path(wanted).name, local, precision)
    hint = did_you_mean(wanted, file.checkpoints)
    raise ModelError(f"{family} has no checkpoint {wanted!r} and there is no such folder; {hint}")


def _spec(path: Path, file: ModelFile, name: str, checkpoint: Checkpoint, precision: Precision) -> ModelSpec:
    adapter = file.adapter
    if adapter.startswith("."):
        adapter = str((path.parent / adapter).resolve())
    return ModelSpec(
        name=path.stem,
        adapter=adapter,
        method=file.method,
        checkpoint=name,
        source=checkpoint.repo or str(_local(path, checkpoint.path or "")),
        local=checkpoint.repo is None,
        revision=checkpoint.revision,
        categories=checkpoint.categories,
        input=checkpoint.input,
        fusion=checkpoint.fusion.applied_to(file.fusion.applied_to(None)),
        precision=precision,
        published=checkpoint.published,
    )


def _local(path: Path, folder: str) -> Path:
    """Shipped weights lie with the adapters; those of a user's YAML lie beside it."""
    if path in shipped("models").values():
        return Path(str(files("bench.adapters"))) / folder
    return (path.parent / folder).resolve()


def spec_file(adapter: str) -> Path | None:
    """The file of `/path/mine.py:Name`; None for a shipped module."""
    where = adapter.rpartition(":")[0]
    return Path(where) if where.endswith(".py") else None


def check_source(spec: ModelSpec) -> None:
    """A local checkpoint must hold a config and weights; cheap, before any framework is imported.

    What a user's own adapter needs in its folder is its own business.
    """
    if not spec.local or spec.own_code:
        return
    folder = Path(spec.source)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json here; a checkpoint is a folder in hub format")
    if weights_file(folder) is None:
        raise ModelError(f"{folder}: no weights (model.safetensors or pytorch_model.bin) here; copy them there")


def weights_file(folder: Path) -> Path | None:
    """The weights that a loader would take: safetensors first."""
    stems = ("model.safetensors", "pytorch_model.bin")
    names = [name for stem in stems for name in (stem, f"{stem}.index.json")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def weights_digest(spec: ModelSpec) -> str:
    """What identifies the weights: sha256 of every weight file, or hub repo and revision."""
    if not spec.local:
        return f"{spec.source}@{spec.revision or 'main'}"
    return folder_digest(Path(spec.source))


def folder_digest(folder: Path) -> str:
    """sha256 of the weights and the config in a folder, wherever that lies."""
    hasher = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.suffix in (".safetensors", ".bin") or file.name == "config.json":
            hasher.update(file.name.encode())
            hasher.update(file.read_bytes())
    return hasher.hexdigest()
