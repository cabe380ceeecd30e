"""Shared by the families of transformers: configuration of backbone and transformer, and the saved folder."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from bench.adapters.transformers_models import IMAGENET_MEAN, IMAGENET_STD
from bench.errors import UsageError
from bench.io.config import from_dict
from bench.io.files import write_json
from bench.training.recipe import NetworkSpec, Recipe
from bench.types import Categories


def network_spec(recipe: Recipe) -> NetworkSpec:
    """Return the recipe's `network`. Raises UsageError if it has not as many depths as widths."""
    spec = from_dict(NetworkSpec, recipe.network, "network")
    if len(spec.widths) != len(spec.depths):
        raise UsageError(f"network: {len(spec.widths)} widths and {len(spec.depths)} depths; give one of each a stage")
    return spec


def resnet_config(spec: NetworkSpec) -> Any:
    """Return a ResNetConfig of basic blocks with all stages as outputs."""
    import transformers

    quiet: Any = transformers.logging
    # transformers warns about every backbone but Swin.
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    # Any: the annotations of the class lack the arguments of its base.
    resnet: Any = transformers.ResNetConfig
    return resnet(
        embedding_size=spec.stem_width, hidden_sizes=list(spec.widths), depths=list(spec.depths),
        layer_type="basic", out_features=[f"stage{i + 1}" for i in range(len(spec.widths))],
    )  # fmt: skip


def detr_config(spec: NetworkSpec, backbone: Any = None, **labels: Any) -> Any:
    """Return a DetrConfig, of the transformer alone if `backbone` is None."""
    import transformers

    # Any: the annotations of the class lack the arguments of its base.
    make: Any = transformers.DetrConfig
    return make(
        backbone_config=backbone, use_timm_backbone=False, d_model=spec.query_width, num_queries=spec.queries,
        encoder_layers=spec.encoder_layers, decoder_layers=spec.decoder_layers, dropout=spec.dropout,
        encoder_attention_heads=spec.looking_heads, decoder_attention_heads=spec.heads,
        encoder_ffn_dim=spec.feedforward, decoder_ffn_dim=spec.feedforward, **labels,
    )  # fmt: skip


def label_names(categories: Categories) -> dict[str, dict[Any, Any]]:
    names = dict(enumerate(category.name for category in categories))
    return {"id2label": names, "label2id": {name: i for i, name in names.items()}}


def divisor(model: Any) -> int:
    """Return the padding multiple of the input in px: the stride of the backbone's last stage, at least 32."""
    stages = len(getattr(model.config.backbone_config, "out_features", None) or ()) or 4
    return int(max(32, 2 ** (stages + 1)))


def save(model: Any, folder: Path, input_px: tuple[int, int], half: bool, *, processor: str) -> None:
    """Write config.json, preprocessor_config.json and model.safetensors, in fp16 if `half`.

    `input_px` is (height, width).
    """
    (deepcopy(model).half() if half else model).save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", _preprocessor(input_px, processor), indent=2)


def _preprocessor(input_px: tuple[int, int], processor: str) -> dict[str, Any]:
    return {
        "image_processor_type": processor,
        "do_resize": True,
        "size": {"height": input_px[0], "width": input_px[1]},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
        "do_reduce_labels": False,
        "ignore_index": 255,
        "size_divisor": 32,
    }
