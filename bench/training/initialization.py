"""Initial weights: random, of a checkpoint, or copied from another architecture; class heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.adapters.class_head import class_head, set_layer
from bench.adapters.hub import load_pretrained, read_config
from bench.datasets.dataset import Dataset
from bench.errors import ModelError, UsageError
from bench.io.config import shipped_configs
from bench.models.loading import load_model
from bench.models.resolve import resolve_model
from bench.models.weights import weights_file
from bench.training.families.family import Family
from bench.training.families.hub import label_names
from bench.training.gradients import Notify
from bench.training.recipe import Recipe
from bench.types import Categories


def adapt_class_head(network: Any, family: Family, categories: Categories) -> str:
    """Replace the class layer of a checkpoint's network for other categories, keeping the rows of known class names.

    A DETR head with 250 classes is matched by COCO category id. Returns a note on the classes kept, "" if nothing
    changed.
    """
    if family.class_head is None:
        return ""
    known = {name: i for i, name in sorted(network.config.id2label.items())}
    wanted = [category.name for category in categories]
    if list(known) == wanted:
        return ""
    # In DETR's head for COCO the row of a category is its id.
    by_id = len(network.config.id2label) == 250 and max(categories.ids) < 250
    rows = [i if by_id else known.get(name) for i, name in zip(categories.ids, wanted, strict=True)]
    old = network.get_submodule(family.class_head)
    set_layer(network, family.class_head, _with_rows(old, [*rows, old.out_features - 1]))
    for key, value in label_names(categories).items():
        setattr(network.config, key, value)
    _fit_criterion(network, len(wanted))
    fresh = [name for name, row in zip(wanted, rows, strict=True) if row is None]
    anew = f"; the rows of {', '.join(fresh)} start from random weights" if fresh else ""
    return f"{len(wanted)} classes, {len(wanted) - len(fresh)} of them among its {len(known)}{anew}"


def _fit_criterion(network: Any, classes: int) -> None:
    """Resize the class weights of the framework's own loss, which are saved with the network but not used here."""
    old = getattr(getattr(network, "criterion", None), "empty_weight", None)
    if old is not None:
        weight = torch.ones(classes + 1, dtype=old.dtype, device=old.device)
        weight[-1] = old[-1]
        network.criterion.empty_weight = weight


@torch.no_grad()
def _with_rows(old: Any, rows: Sequence[int | None]) -> Any:
    """Return a linear layer with these rows of `old`; a row that is None gets fresh weights."""
    # Rows of new classes keep the initialization of nn.Linear.
    new = nn.Linear(old.in_features, len(rows))
    for i, row in enumerate(rows):
        if row is not None:
            new.weight[i], new.bias[i] = old.weight[row], old.bias[row]
    return new


def add_head_layers(network: Any, family: Family, recipe: Recipe) -> None:
    """Replace the class layer with the recipe's class head. Raises UsageError if the family has no class layer."""
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


def merge_head_layers(network: Any, family: Family, recipe: Recipe) -> Any:
    """Return the network to save: class-head layers without an activation are merged into one linear layer."""
    if recipe.class_head is None or recipe.class_head.activation != "none" or family.class_head is None:
        return network
    copy = deepcopy(network)
    layers = [layer for layer in copy.get_submodule(family.class_head) if isinstance(layer, nn.Linear)]
    set_layer(copy, family.class_head, multiplied(layers))
    return copy


@torch.no_grad()
def multiplied(layers: list[nn.Linear]) -> nn.Linear:
    # Double precision: a product of several layers would lose digits in single.
    weight, bias = layers[0].weight.double(), layers[0].bias.double()
    for layer in layers[1:]:
        weight, bias = layer.weight.double() @ weight, layer.weight.double() @ bias + layer.bias.double()
    one = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
    one.weight.copy_(weight)
    one.bias.copy_(bias)
    return one


# What the backbone's parameters are called in each architecture; a checkpoint of one may begin another.
BACKBONES = ("model.pixel_level_module.encoder.", "detr.model.backbone.model.", "model.backbone.model.", "backbone.")

# MaskFormer's transformer is DETR's (arXiv 2107.06278, 4.1): what it has learned under DETR's names for it.
DETR_NAMES = {
    "model.transformer_module.queries_embedder.": "detr.model.query_position_embeddings.",
    "model.transformer_module.": "detr.model.",
    "class_predictor.": "detr.class_labels_classifier.",
}


def network_of(recipe: Recipe, family: Family, data: Dataset, notify: Notify) -> Any:
    """Return the network to train; `notify` receives a note on the weights copied from a checkpoint."""
    if recipe.network is None:
        network, note = _whole(recipe, family, data)
    else:
        network, note = build(recipe, family, data.categories), ""
        if recipe.init is not None:
            note = transplant(network, _tensors(recipe.init, family, data), family.backbone, recipe.init)
    if note:
        notify(note)
    add_head_layers(network, family, recipe)
    return network.float()


def build(recipe: Recipe, family: Family, categories: Categories) -> Any:
    """Build the recipe's network with random weights. Raises UsageError if its framework rejects the settings."""
    try:
        return family.build(recipe, categories)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"network: {family.name} cannot be built so ({str(error).splitlines()[0]})") from None


def _whole(recipe: Recipe, family: Family, data: Dataset) -> tuple[Any, str]:
    """Return the network of the checkpoint `init`, adapted to the categories of the data set, and a note."""
    network = _loaded(recipe.init or "", family, data)
    network.requires_grad_(True)
    note = adapt_class_head(network, family, data.categories)
    return network, f"init: {recipe.init}, {note or 'as it is'}"


def _loaded(name: str, family: Family, data: Dataset) -> Any:
    """Load a network: a checkpoint of the family, a folder, or another family's model (`mask2former/minicity/tiny`)."""
    other = name.partition("/")[0] in shipped_configs("models")
    model, checkpoint = (name, None) if other else (family.name, name)
    adapter: Any = load_model(resolve_model(model, data.name, base=data.base, checkpoint=checkpoint), "cpu")
    return adapter.model


def _tensors(name: str, family: Family, data: Dataset) -> Mapping[str, Tensor]:
    """Return the weights of a folder of any architecture, or of a checkpoint of the family.

    Architectures of transformers are loaded through it, since some weights have other names in the file than in memory.
    Raises ModelError if the folder has no model.safetensors.
    """
    folder = Path(name)
    if not folder.is_dir():
        state: Mapping[str, Tensor] = _loaded(name, family, data).state_dict()
        return state
    import transformers

    written = read_config(folder).get("architectures") or [""]
    if hasattr(transformers, written[0]):
        known: Mapping[str, Tensor] = load_pretrained(folder, written[0]).state_dict()
        return known
    file = weights_file(folder)
    if file is None or file.suffix != ".safetensors":
        raise ModelError(f"{folder}: no model.safetensors here; a checkpoint is a folder in hub format")
    return load_file(file)


def transplant(network: Any, source: Mapping[str, Tensor], backbone: str, name: str) -> str:
    """Copy every tensor with a counterpart of the same name and shape; the backbone's prefix may differ.

    Returns a sentence on tensors copied, missing and left over. Raises ModelError if no tensor of two or more
    dimensions fits.
    """
    own = network.state_dict()
    given = _renamed(_as_detr(source, own), backbone)
    fitting = {n: t for n, t in given.items() if n in own and own[n].shape == t.shape}
    missing, left = sorted(own.keys() - fitting.keys()), sorted(given.keys() - fitting.keys())
    # Some bias or norm has the same name and width in any two networks.
    if not any(tensor.ndim > 1 for tensor in fitting.values()):
        raise ModelError(
            f"init: {name} has nothing in common with this network: missing {_some(missing)}, left over {_some(left)}; "
            "take a checkpoint of the same widths and depths, or drop `init`"
        )
    network.load_state_dict({**own, **fitting})
    return (
        f"init: {len(fitting)} tensors of {name}; {_some(missing)} start from random weights, {_some(left)} left over"
    )


def _renamed(source: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    theirs = next((p for p in BACKBONES if any(n.startswith(p) for n in source)), backbone)
    return {(backbone + n.removeprefix(theirs) if n.startswith(theirs) else n): t for n, t in source.items()}


def _as_detr(source: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Rename MaskFormer's tensors to DETR's names if `own` is a DETR."""
    of_maskformer = "model.transformer_module.input_projection.weight" in source
    if not of_maskformer or "detr.class_labels_classifier.bias" not in own:
        return source
    renamed = {}
    for name, tensor in source.items():
        theirs = next((prefix for prefix in DETR_NAMES if name.startswith(prefix)), "")
        renamed[DETR_NAMES.get(theirs, "") + name.removeprefix(theirs)] = tensor
    return renamed


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:2]) + (", …" if len(names) > 2 else "")
    return f"{len(names)} ({shown})" if names else "none"
