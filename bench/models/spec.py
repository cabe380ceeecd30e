"""ModelSpec: the resolved description of a model, from a model file and a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.fusion.presets import FusionSpec
from bench.models.model_file import FrameworkConfig, InputSize, Published
from bench.types import Categories, Precision

NO_QUERIES = ("efficientps", "framework", "none")  # rules of fusion that take no logits of queries


@dataclass(frozen=True)
class ModelSpec:
    """One resolved model: the input of an adapter's constructor, recorded in run.json.

    `categories` is the name of the label space `space`; `yaml` is the path of the model's YAML.
    Without `semantic`, its adapter need not compute semantic maps. With `compile`, it compiles its network. `changed`
    are the settings given by --set.
    """

    name: str
    adapter: str
    method: str
    checkpoint: str
    source: str
    local: bool
    revision: str | None
    categories: str
    space: Categories
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
    semantic: bool = True
    postprocess: Literal["auto", "cpu", "device"] = "auto"
    compile: bool = False
    yaml: str = ""
    changed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_user_adapter(self) -> bool:
        """Whether the adapter is a user's file."""
        return adapter_file(self.adapter) is not None

    def fuses_on_device(self, kind: str) -> bool:
        """Return whether a model on a `kind` of device ("cpu", "cuda", …) has its queries fused by whole maps there."""
        if self.fusion.rule in NO_QUERIES:
            return False
        return self.postprocess == "device" or (self.postprocess == "auto" and kind != "cpu")


def adapter_file(adapter: str) -> Path | None:
    """Return the file of `/path/mine.py:Name`, or None for a shipped adapter."""
    where = adapter.rpartition(":")[0]
    return Path(where) if where.endswith(".py") else None
