"""EfficientPS (arXiv 2004.02307): our own network, losses and storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from bench.adapters.efficientps import network, storage
from bench.adapters.efficientps.config import NetworkConfig
from bench.errors import UsageError
from bench.io.config import from_dict
from bench.training.data.batches import MicroBatch
from bench.training.families.family import Family, Losses
from bench.training.losses import efficientps as efficientps_loss
from bench.training.recipe import Recipe
from bench.types import Categories


def build(recipe: Recipe, categories: Categories) -> Any:
    return network.build(from_dict(NetworkConfig, recipe.network, "network"), categories)


def losses(model: Any, part: MicroBatch, recipe: Recipe, weights: Tensor) -> Losses:
    """Return the six loss terms, weighted by `network.training`.

    Raises UsageError if the inputs are not multiples of 32 px.
    """
    for phase in recipe.phases:
        if phase.input_px[0] % 32 or phase.input_px[1] % 32:
            raise UsageError(f"phases: EfficientPS takes inputs of multiples of 32 px, not {list(phase.input_px)}")
    index = [target.index.view(part.input_px) for target in part.targets]
    classes = [target.classes for target in part.targets]
    return Losses(efficientps_loss.losses(model, part.pixels, index, classes))


def save(model: Any, folder: Path, input_px: tuple[int, int], half: bool) -> None:
    """Write config.json, preprocessor_config.json and model.safetensors, always in fp16."""
    storage.save(model, folder, input_px)


FAMILY = Family(
    name="efficientps",
    stride=1,
    build=build,
    losses=losses,
    save=save,
    divisor=lambda model: 32,
    backbone="backbone.",
)
