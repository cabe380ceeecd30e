"""The class head during training: exchanged for other classes or more layers, made plain again to be saved."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from bench.adapters.class_head import class_head, set_layer
from bench.errors import UsageError
from bench.recipes.families.family import Family
from bench.recipes.families.hub import label_names
from bench.recipes.recipe import Recipe
from bench.types import Categories


def fit_classes(network: Any, family: Family, categories: Categories) -> str:
    """Gives a network from a checkpoint a class layer for other classes, which keeps the rows of those that it
    knew by name; what was done, or ""."""
    if family.class_head is None:
        return ""
    known = {name: i for i, name in sorted(network.config.id2label.items())}
    wanted = [category.name for category in categories]
    if list(known) == wanted:
        return ""
    by_id = (
        len(network.config.id2label) == 250 and max(categories.ids) < 250
    )  # DETR's head for COCO: a category's id is its row
    rows = [i if by_id else known.get(name) for i, name in zip(categories.ids, wanted, strict=True)]
    old = network.get_submodule(family.class_head)
    set_layer(network, family.class_head, _with_rows(old, [*rows, old.out_features - 1]))
    for key, value in label_names(categories).items():
        setattr(network.config, key, value)
    _fit_criterion(network, len(wanted))
    fresh = [name for name, row in zip(wanted, rows, strict=True) if row is None]
    anew = f"; the rows of {', '.join(fresh)} begin anew" if fresh else ""
    return f"{len(wanted)} classes, {len(wanted) - len(fresh)} of them among its {len(known)}{anew}"


def _fit_criterion(network: Any, classes: int) -> None:
    """The framework's own loss keeps a weight a class, which is saved with the network though ours does not read it."""
    old = getattr(getattr(network, "criterion", None), "empty_weight", None)
    if old is not None:
        weight = torch.ones(classes + 1, dtype=old.dtype, device=old.device)
        weight[-1] = old[-1]
        network.criterion.empty_weight = weight


@torch.no_grad()
def _with_rows(old: Any, rows: Sequence[int | None]) -> Any:
    """A linear layer with these rows of the old one, and fresh ones where there is none."""
    new = nn.Linear(old.in_features, len(rows))
    for i, row in enumerate(rows):
        if row is not None:
            new.weight[i], new.bias[i] = old.weight[row], old.bias[row]
    return new


def deepen(network: Any, family: Family, recipe: Recipe) -> None:
    """Puts the recipe's class head in the place of the one layer."""
    spec = recipe.class_head
    if spec is None:
        return
    if family.class_head is None:
        raise UsageError(f"class_head: {family.name} has no such layer; leave the block out")
    old = network.get_submodule(family.class_head)
    widths = [old.in_features, *spec.hidden, old.out_features]
    set_layer(network, family.class_head, class_head(widths, spec.activation, spec.dropout))
    if spec.activation != "none":
        network.config.class_head = {"name": family.class_head, "widths": widths, "activation": spec.activation}


def plain(network: Any, family: Family, recipe: Recipe) -> Any:
    """The network as it is saved: layers without an activation between them are one matrix."""
    if recipe.class_head is None or recipe.class_head.activation != "none" or family.class_head is None:
        return network
    copy = deepcopy(network)
    layers = [layer for layer in copy.get_submodule(family.class_head) if isinstance(layer, nn.Linear)]
    set_layer(copy, family.class_head, multiplied(layers))
    return copy


@torch.no_grad()
def multiplied(layers: list[nn.Linear]) -> nn.Linear:
    """The one linear layer that does what all of them do in turn."""
    weight, bias = layers[0].weight.double(), layers[0].bias.double()
    for layer in layers[1:]:
        weight, bias = layer.weight.double() @ weight, layer.weight.double() @ bias + layer.bias.double()
    one = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
    one.weight.copy_(weight)
    one.bias.copy_(bias)
    return one
