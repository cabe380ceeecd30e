"""The interface of a family, and how it is found."""

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
    """Named terms, weighted, and the (B, `feature_width`, h, w) features that the dense head may look at."""

    terms: dict[str, Tensor]
    features: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Family:
    """How a network is built, what it is trained with, and which adapter evaluates it.

    `name` is also that of the models YAML, and so of the adapter, and of the fusion preset. `stride` is the side
    of a target's cell in px of the input. `backbone` begins the names of the backbone's parameters, `class_head`
    is the name of the layer that tells classes; it is None where training does not replace it. `feature_width`
    gives the channels of `Losses.features`.
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
    """The family called `name`; a missing framework is a ModelError that says which extra brings it."""
    try:
        family: Family = importlib.import_module(f"bench.training.families.{name}").FAMILY
    except ModuleNotFoundError as error:
        raise ModelError(f"training {name} needs {error.name}; pip install 'panoptic-bench[models,train]'") from None
    return family
