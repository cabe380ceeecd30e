"""Interface of a model family for training, and lookup by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.errors import ModelError
from bench.training.data.batches import MicroBatch
from bench.training.recipe import FamilyName, Recipe
from bench.types import Categories


@dataclass(frozen=True, eq=False)
class Losses:
    """Weighted loss terms by name; `features` (B, `feature_width`, h, w) for the dense head."""

    terms: dict[str, Tensor]
    features: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Family:
    """How a network is built, trained, saved and evaluated.

    `name` is also the name of the models YAML, of its adapter and of the fusion preset. `stride` is the side of a
    target cell in px of the input. `divisor` returns the padding multiple of the input in px. `backbone` is the prefix
    of the backbone's parameter names; `class_head` the name of the class layer, None if training does not replace it.
    `feature_width` returns the channels of `Losses.features`.
    """

    name: str
    stride: int
    build: Callable[[Recipe, Categories], Any]
    losses: Callable[[Any, MicroBatch, Recipe, Tensor], Losses]
    save: Callable[[Any, Path, tuple[int, int], bool], None]
    divisor: Callable[[Any], int]
    backbone: str
    class_head: str | None = None
    feature_width: Callable[[Any], int] | None = None


def find_family(name: FamilyName) -> Family:
    """Return the family `name`. Raises ModelError with the extra to install if its framework is missing."""
    try:
        family: Family = importlib.import_module(f"bench.training.families.{name}").FAMILY
    except ModuleNotFoundError as error:
        raise ModelError(f"training {name} needs {error.name}; pip install 'panoptic-bench[models,train]'") from None
    return family
