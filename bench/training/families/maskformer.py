"""MaskFormer (arXiv 2107.06278) through transformers, with the set loss of Mask2Former."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.training.data.batches import MicroBatch
from bench.training.families.family import Family, Losses
from bench.training.families.hub import detr_config, divisor, label_names, network_spec, resnet_config, save
from bench.training.losses.set_loss import set_loss
from bench.training.recipe import Recipe
from bench.types import Categories


def build(recipe: Recipe, categories: Categories) -> Any:
    import transformers

    spec = network_spec(recipe)
    # Any: the annotations of the class lack the arguments of its base.
    make: Any = transformers.MaskFormerConfig
    config = make(
        backbone_config=resnet_config(spec), decoder_config=detr_config(spec),
        fpn_feature_size=spec.feature_width, mask_feature_size=spec.feature_width,
        **label_names(categories),
    )  # fmt: skip
    return transformers.MaskFormerForInstanceSegmentation(config)


def losses(model: Any, part: MicroBatch, recipe: Recipe, weights: Tensor) -> Losses:
    """Return the set loss of every decoder layer."""
    out = model.model(part.pixels, output_hidden_states=True)
    norm = model.model.transformer_module.decoder.layernorm
    # The first hidden state is the queries themselves; transformers normalizes the last one only.
    between = [norm(state) for state in out.transformer_decoder_hidden_states[1:-1]]
    states = torch.stack([*between, out.transformer_decoder_last_hidden_state])
    features = out.pixel_decoder_last_hidden_state
    masks = torch.einsum("lbqc,bchw->lbqhw", model.mask_embedder(states), features)
    layers = list(zip(model.class_predictor(states), masks, strict=True))
    return Losses(set_loss(layers, part.targets, recipe.loss, weights, part.generator), features)


FAMILY = Family(
    name="maskformer",
    stride=4,
    build=build,
    losses=losses,
    save=partial(save, processor="MaskFormerImageProcessor"),
    divisor=divisor,
    backbone="model.pixel_level_module.encoder.",
    class_head="class_predictor",
    feature_width=lambda model: int(model.config.mask_feature_size),
)
