"""What a model file and a checkpoint come to: the specification that a model is loaded by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.datasets.label_spaces import load_space
from bench.fusion.presets import FusionSpec
from bench.models.model_file import FrameworkConfig, InputSize, Published
from bench.types import Categories, Precision


@dataclass(frozen=True)
class ModelSpec:
    """One model, resolved: what an adapter is built from and what a run records. `yaml` is the file that names it."""

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
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Mapping[str, ModelSpec] = field(default_factory=dict)
    env: str | None = None
    deadline: float = 300.0
    url: str | None = None
    framework: FrameworkConfig | None = None
    files: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    weightless: bool = False
    yaml: str = ""

    @property
    def is_user_adapter(self) -> bool:
        """The adapter is a user's file, not one that ships."""
        return adapter_file(self.adapter) is not None

    @property
    def space(self) -> Categories:
        return load_space(self.categories).evaluated


def adapter_file(adapter: str) -> Path | None:
    """The file of `/path/mine.py:Name`; None for a shipped module."""
    where = adapter.rpartition(":")[0]
    return Path(where) if where.endswith(".py") else None
