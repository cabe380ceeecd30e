"""Where a network begins: at random, at a checkpoint, or with what fits of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from bench.adapter import load_model
from bench.adapters.hub import load_pretrained, read_config
from bench.config import shipped
from bench.datasets.dataset import Dataset
from bench.errors import ModelError, UsageError
from bench.models import resolve_model, weights_file
from bench.recipes.families.family import Family
from bench.recipes.gradients import Says
from bench.recipes.heads import deepen, fit_classes
from bench.recipes.recipe import Recipe
from bench.types import Categories

# What the backbone's parameters are called in each architecture; a checkpoint of one may begin another.
BACKBONES = ("model.pixel_level_module.encoder.", "detr.model.backbone.model.", "model.backbone.model.", "backbone.")

# MaskFormer's transformer is DETR's (arXiv 2107.06278, 4.1): what it has learned under DETR's names for it.
DETR_NAMES = {
    "model.transformer_module.queries_embedder.": "detr.model.query_position_embeddings.",
    "model.transformer_module.": "detr.model.",
    "class_predictor.": "detr.class_labels_classifier.",
}


def network_of(recipe: Recipe, family: Family, data: Dataset, says: Says) -> Any:
    """The network that training begins with; `says` hears what was carried over from a checkpoint."""
    if recipe.network is None:
        network, note = _whole(recipe, family, data)
    else:
        network, note = build(recipe, family, data.categories), ""
        if recipe.init is not None:
            note = transplant(network, _tensors(recipe.init, family, data), family.backbone, recipe.init)
    if note:
        says(note)
    deepen(network, family, recipe)
    return network.float()


def build(recipe: Recipe, family: Family, categories: Categories) -> Any:
    """The recipe's network with random weights; one that its framework refuses is a UsageError."""
    try:
        return family.build(recipe, categories)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"network: {family.name} cannot be built so ({str(error).splitlines()[0]})") from None


def _whole(recipe: Recipe, family: Family, data: Dataset) -> tuple[Any, str]:
    """The checkpoint's own network."""
    network = _loaded(recipe.init or "", family, data)
    network.requires_grad_(True)
    note = fit_classes(network, family, data.categories)
    return network, f"init: {recipe.init}, {note or 'as it is'}"


def _loaded(name: str, family: Family, data: Dataset) -> Any:
    """The network of `coco/swin-tiny` of the family, of a folder, or of `mask2former/minicity/tiny`, another's."""
    other = name.partition("/")[0] in shipped("models")
    model, checkpoint = (name, None) if other else (family.name, name)
    adapter: Any = load_model(resolve_model(model, data.name, base=data.base, checkpoint=checkpoint), "cpu")
    return adapter.model


def _tensors(name: str, family: Family, data: Dataset) -> Mapping[str, Tensor]:
    """The weights of a folder of any architecture, or of a checkpoint of the family's. transformers stores some
    under other names than it has them in memory, so what is its own is read by it."""
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
    """Copies every tensor that has a counterpart of the same shape; the backbone's may be called differently.

    A sentence with what was carried over, missing and left over. Nothing in common is a ModelError.
    """
    own = network.state_dict()
    given = _renamed(_as_detr(source, own), backbone)
    fitting = {n: t for n, t in given.items() if n in own and own[n].shape == t.shape}
    missing, left = sorted(own.keys() - fitting.keys()), sorted(given.keys() - fitting.keys())
    if not any(tensor.ndim > 1 for tensor in fitting.values()):  # a bias here and there always fits
        raise ModelError(
            f"init: {name} has nothing in common with this network: missing {_some(missing)}, left over {_some(left)}; "
            "take a checkpoint of the same widths and depths, or drop `init`"
        )
    network.load_state_dict({**own, **fitting})
    return f"init: {len(fitting)} tensors of {name}; {_some(missing)} begin anew, {_some(left)} left over"


def _renamed(source: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """The source's tensors, its backbone's under our name for it."""
    theirs = next((p for p in BACKBONES if any(n.startswith(p) for n in source)), backbone)
    return {(backbone + n.removeprefix(theirs) if n.startswith(theirs) else n): t for n, t in source.items()}


def _as_detr(source: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """MaskFormer's tensors under DETR's names, where DETR is to begin with them."""
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
