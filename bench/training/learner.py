"""The network with the parts that only training needs, and replicas of it."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.training.data.batches import MicroBatch
from bench.training.families.family import Family
from bench.training.losses.auxiliary import DenseHead, dense_loss
from bench.training.losses.set_loss import Terms, class_weights
from bench.training.recipe import Recipe
from bench.types import Categories


class Learner(nn.Module):
    """Network and auxiliary head; `forward` returns the losses. Only `network` is evaluated and saved."""

    def __init__(self, network: Any, family: Family, recipe: Recipe, categories: Categories) -> None:
        super().__init__()
        self.network, self.family, self.recipe = network, family, recipe
        self.weights = class_weights(recipe.loss, categories)
        self.dense: DenseHead | None = None
        if recipe.dense is not None:
            if family.feature_width is None:
                raise UsageError(f"dense: {family.name} has no features for an auxiliary head; leave the block out")
            self.dense = DenseHead(family.feature_width(network), len(categories))

    def forward(self, part: MicroBatch) -> Terms:
        losses = self.family.losses(self.network, part, self.recipe, self.weights)
        if self.dense is None or losses.features is None or self.recipe.dense is None:
            return losses.terms
        grid = part.input_px[0] // self.family.stride, part.input_px[1] // self.family.stride
        dense = dense_loss(self.dense(losses.features), part.targets, grid, self.recipe.dense)
        return {**losses.terms, **dense}


def replica(model: Any) -> Any:
    """Return a copy with shared weights, but its own gradients and batch-norm statistics."""
    copy = deepcopy(model)
    for ours, theirs in zip(copy.parameters(), model.parameters(), strict=True):
        ours.data = theirs.data
    return copy


def freeze(learner: Learner, patterns: Iterable[str]) -> None:
    """Freeze the network's parameters whose names match a pattern (fnmatch), and unfreeze all others.

    Modules with all parameters frozen are put in eval mode: no batch-norm updates, no dropout. Raises UsageError if a
    pattern matches no parameter.
    """
    network, wanted = learner.network, list(patterns)
    names = [name for name, _ in network.named_parameters()]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            tops = sorted({".".join(name.split(".")[:2]) for name in names})
            raise UsageError(f"freeze: no parameter is called {pattern!r}; they begin with {', '.join(tops)}")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in wanted))
    learner.train()
    for module in network.modules():
        inside = list(module.parameters())
        # Frozen batch norm would go on changing its statistics in train mode.
        if inside and not any(p.requires_grad for p in inside):
            module.eval()


@torch.no_grad()
def update_average(average: Any, model: Any, decay: float) -> None:
    """Move the averaged weights and batch-norm statistics towards the model's (exponential moving average)."""
    ours = [tensor for tensor in average.state_dict().values() if tensor.is_floating_point()]
    theirs = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    # One call for all tensors, since single calls take longer than the arithmetic.
    torch._foreach_lerp_(ours, theirs, 1 - decay)


def parameter_groups(learner: Learner, recipe: Recipe) -> list[dict[str, Any]]:
    """Return optimizer groups, the backbone's last; `full_lr` is the learning rate before the schedule's factor."""
    prefix, spec = f"network.{learner.family.backbone}", recipe.optimizer
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in learner.named_parameters():
        groups[name.startswith(prefix)].append(parameter)
    rates = {True: spec.lr if spec.backbone_lr is None else spec.backbone_lr, False: spec.lr}
    return [{"params": groups[key], "lr": rates[key], "full_lr": rates[key]} for key in (False, True) if groups[key]]
