"""Mask2Former (arXiv 2112.01527) through transformers."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from bench.training.data.batches import MicroBatch
from bench.training.families.family import Family, Losses
from bench.training.families.hub import divisor, label_names, network_spec, resnet_config, save
from bench.training.losses.set_loss import set_loss
from bench.training.recipe import Recipe
from bench.types import Categories


def build(recipe: Recipe, categories: Categories) -> Any:
    import transformers

    spec = network_spec(recipe)
    # Any: the annotations of the class lack the arguments of its base.
    make: Any = transformers.Mask2FormerConfig
    config = make(
        backbone_config=resnet_config(spec), feature_size=spec.feature_width, mask_feature_size=spec.feature_width,
        hidden_dim=spec.query_width, encoder_feedforward_dim=2 * spec.feature_width,
        encoder_layers=spec.encoder_layers, decoder_layers=spec.decoder_layers,
        num_attention_heads=spec.heads, dim_feedforward=spec.feedforward, num_queries=spec.queries,
        feature_strides=[4 * 2**i for i in range(len(spec.widths))], common_stride=4, dropout=spec.dropout,
        **label_names(categories),
    )  # fmt: skip
    return transformers.Mask2FormerForUniversalSegmentation(config)


def losses(model: Any, part: MicroBatch, recipe: Recipe, weights: Tensor) -> Losses:
    """Return the set loss of the query embeddings and of every decoder layer."""
    out = model.model(pixel_values=part.pixels, output_hidden_states=True)
    states = out.transformer_decoder_intermediate_states
    classes = [model.class_predictor(state.transpose(0, 1)) for state in states]
    layers = list(zip(classes, out.masks_queries_logits, strict=True))
    terms = set_loss(layers, part.targets, recipe.loss, weights, part.generator)
    return Losses(terms, out.pixel_decoder_last_hidden_state)


FAMILY = Family(
    name="mask2former",
    stride=4,
    build=build,
    losses=losses,
    save=partial(save, processor="Mask2FormerImageProcessor"),
    divisor=divisor,
    backbone="model.pixel_level_module.encoder.",
    class_head="class_predictor",
    feature_width=lambda model: int(model.config.mask_feature_size),
)
