"""The network of a recipe, and the folder it is saved as: what `from_pretrained` loads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bench.recipes.augment import PIXEL_MEAN, PIXEL_STD
from bench.recipes.loss import Layer
from bench.recipes.recipe import NetworkSpec
from bench.types import Categories


def build(spec: NetworkSpec, categories: Categories) -> Any:
    """A Mask2FormerForUniversalSegmentation with random weights."""
    import transformers

    quiet: Any = transformers.logging
    resnet: Any = transformers.ResNetConfig  # its annotations leave out what its base takes
    quiet.set_verbosity_error()  # it warns of every backbone but swin
    quiet.disable_progress_bar()
    stages = [f"stage{i + 1}" for i in range(len(spec.widths))]
    backbone = resnet(
        embedding_size=spec.stem_width, hidden_sizes=list(spec.widths), depths=list(spec.depths),
        layer_type="basic", out_features=stages,
    )  # fmt: skip
    names = dict(enumerate(category.name for category in categories))
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone, feature_size=spec.feature_width, mask_feature_size=spec.feature_width,
        hidden_dim=spec.query_width, encoder_feedforward_dim=2 * spec.feature_width,
        encoder_layers=spec.encoder_layers, decoder_layers=spec.decoder_layers,
        num_attention_heads=spec.heads, dim_feedforward=spec.feedforward, num_queries=spec.queries,
        feature_strides=[4 * 2**i for i in range(len(stages))], common_stride=4,
        id2label=names, label2id={name: i for i, name in names.items()},
    )  # fmt: skip
    return transformers.Mask2FormerForUniversalSegmentation(config)


def layers(model: Any, pixels: torch.Tensor) -> Sequence[Layer]:
    """Class and mask logits of the query embeddings and of every decoder layer, the last one last."""
    out = model.model(pixel_values=pixels, output_hidden_states=True)
    states = out.transformer_decoder_intermediate_states
    classes = [model.class_predictor(state.transpose(0, 1)) for state in states]
    return list(zip(classes, out.masks_queries_logits, strict=True))


def parameters(model: Any) -> int:
    """How many numbers are learned."""
    return sum(int(p.numel()) for p in model.parameters())


def save(model: Any, folder: Path, input_px: tuple[int, int]) -> None:
    """config.json, preprocessor_config.json and model.safetensors in fp16; `input_px` is (height, width)."""
    model.half().save_pretrained(folder)
    model.float()
    (folder / "preprocessor_config.json").write_text(json.dumps(_preprocessor(input_px), indent=2) + "\n")


def _preprocessor(input_px: tuple[int, int]) -> dict[str, Any]:
    return {
        "image_processor_type": "Mask2FormerImageProcessor",
        "do_resize": True,
        "size": {"height": input_px[0], "width": input_px[1]},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [mean / 255 for mean in PIXEL_MEAN],
        "image_std": [std / 255 for std in PIXEL_STD],
        "do_reduce_labels": False,
        "ignore_index": 255,
        "size_divisor": 32,
    }
