"""DETR with its mask head (arXiv 2005.12872) through transformers. Boxes can be trained before masks.

Its batch norm is frozen, so the backbone should start from trained weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.errors import UsageError
from bench.training.data.batches import MicroBatch
from bench.training.families.family import Family, Losses
from bench.training.families.hub import detr_config, label_names, network_spec, resnet_config, save
from bench.training.losses.detr import attention_term, box_terms, mask_terms
from bench.training.losses.set_loss import Matched
from bench.training.recipe import Recipe
from bench.types import Categories

# Makes the attention about as large as the features.
ATTENTION_GAIN = 300.0
STRIDE = 4  # px of the network's input to a cell of a mask


def build(recipe: Recipe, categories: Categories) -> Any:
    import transformers

    spec = network_spec(recipe)
    if len(spec.widths) != 4:
        raise UsageError(f"network: DETR's mask head takes a backbone of four stages, not {len(spec.widths)}")
    if spec.query_width % 16 or (spec.query_width + spec.looking_heads) % 8:
        raise UsageError("network: DETR's mask head takes a query_width of a multiple of 16 and 8 heads")
    model = transformers.DetrForSegmentation(detr_config(spec, resnet_config(spec), **label_names(categories)))
    scale_attention_branch(model.mask_head, spec.query_width)
    return model


@torch.no_grad()
def scale_attention_branch(mask_head: Any, width: int) -> None:
    """Scale up the attention input of the mask head; `width` is the number of feature channels before it."""
    # Attention sums to 1 over heads and positions, so it is about 1000 times smaller than the features; with default
    # weights the head needs some 10,000 steps to use it.
    first = next(layer for layer in mask_head.conv1.modules() if isinstance(layer, torch.nn.Conv2d))
    first.weight[:, width:] *= ATTENTION_GAIN


@dataclass(frozen=True, eq=False)
class Decoded:
    """Outputs of DETR before its heads.

    `states` (layers, B, Q, d) of the decoder; `memory` and `projected` (B, d, h, w), after and before the encoder;
    `finer`, features of the earlier stages, coarsest first.
    """

    states: Tensor
    memory: Tensor
    projected: Tensor
    finer: list[Tensor]


def decode(model: Any, pixels: Tensor) -> Decoded:
    """Run backbone, encoder and decoder; keep all decoder layers (transformers' own forward returns the last)."""
    inner = model.detr.model
    mask = torch.ones((len(pixels), *pixels.shape[-2:]), device=pixels.device)
    features = inner.backbone(pixels, mask)
    feature_map, valid = features[-1]
    projected = inner.input_projection(feature_map)
    shape, flat = feature_map.shape, valid.flatten(1)
    places = inner.position_embedding(shape=shape, device=pixels.device, dtype=pixels.dtype, mask=valid)
    places = places.flatten(2).transpose(1, 2)
    memory = inner.encoder(
        inputs_embeds=projected.flatten(2).transpose(1, 2), attention_mask=flat, spatial_position_embeddings=places
    ).last_hidden_state
    queries = inner.query_position_embeddings.weight.unsqueeze(0).repeat(len(pixels), 1, 1)
    out = inner.decoder(
        inputs_embeds=torch.zeros_like(queries), attention_mask=None, spatial_position_embeddings=places,
        object_queries_position_embeddings=queries, encoder_hidden_states=memory, encoder_attention_mask=flat,
        output_hidden_states=True,
    )  # fmt: skip
    # The first hidden state is the queries themselves; transformers normalizes the last one only.
    between = [inner.decoder.layernorm(state) for state in out.hidden_states[1:-1]]
    finer = [features[stage][0] for stage in (2, 1, 0)]
    square = memory.transpose(1, 2).reshape(projected.shape)
    return Decoded(torch.stack([*between, out.last_hidden_state]), square, projected, finer)


def attended(model: Any, decoded: Decoded, matched: Matched) -> Tensor:
    """Return the attention maps of the matched queries, (B, N, heads, h, w), N the most of an image.

    They are all that the mask head gets of a query. Each query's maps sum to 1 over heads and positions.
    """
    most = max(1, *(len(queries) for queries, _ in matched))
    rows = torch.zeros((len(matched), most), dtype=torch.int64, device=decoded.memory.device)
    for b, (queries, _) in enumerate(matched):
        rows[b, : len(queries)] = queries
    states = decoded.states[-1].gather(1, rows[..., None].expand(-1, -1, decoded.states.shape[-1]))
    attention: Tensor = model.bbox_attention(states, decoded.memory, attention_mask=None)
    return attention


def matched_masks(model: Any, decoded: Decoded, matched: Matched) -> Tensor:
    """Return mask logits (B, N, h, w) of the matched queries alone, N the most of an image."""
    # The mask head is by far the most expensive part, and processes each query independently.
    attention = attended(model, decoded, matched)
    masks: Tensor = model.mask_head(features=decoded.projected, attention_masks=attention, fpn_features=decoded.finer)
    return masks.view(*attention.shape[:2], *masks.shape[-2:])


def sample_matched(matched: Matched, most: int, generator: torch.Generator) -> Matched:
    """Return at most `most` random pairs of each image; all if `most` is 0."""
    if most < 1:
        return matched
    picks = [torch.randperm(len(queries), generator=generator, device=queries.device)[:most] for queries, _ in matched]
    return [(queries[pick], chosen[pick]) for (queries, chosen), pick in zip(matched, picks, strict=True)]


def losses(model: Any, part: MicroBatch, recipe: Recipe, weights: Tensor) -> Losses:
    """Return class and box terms of all decoder layers, attention and (unless `boxes_only`) mask terms of the last."""
    decoded = decode(model, part.pixels)
    classes, boxes = model.detr.class_labels_classifier(decoded.states), model.detr.bbox_predictor(decoded.states)
    layers = list(zip(classes, boxes.sigmoid(), strict=True))
    terms, matched = box_terms(layers, part.targets, recipe.loss, weights)
    if recipe.loss.attention_weight:
        grid = part.input_px[0] // STRIDE, part.input_px[1] // STRIDE
        looking = attended(model, decoded, matched)
        terms["attention"] = recipe.loss.attention_weight * attention_term(looking, part.targets, matched, grid)
    if not part.phase.boxes_only:
        some = sample_matched(matched, recipe.loss.masks_per_image, part.generator)
        terms |= mask_terms(matched_masks(model, decoded, some), part.targets, some, recipe.loss)
    return Losses(terms, decoded.memory)


FAMILY = Family(
    name="detr",
    stride=STRIDE,
    build=build,
    losses=losses,
    save=partial(save, processor="DetrImageProcessor"),
    divisor=lambda model: 1,
    backbone="detr.model.backbone.model.",
    class_head="detr.class_labels_classifier",
    feature_width=lambda model: int(model.config.d_model),
)
