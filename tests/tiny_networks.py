"""A checkpoint of every family in hub format, of random weights and a few channels: small enough to run in a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.datasets.label_spaces import load_space

FAMILIES = ("detr", "eomt", "mask2former", "maskformer", "oneformer")
SIDE = 64  # px, of EoMT's square


def save_tiny(family: str, folder: Path, names: Sequence[str] = ()) -> Path:
    """The folder, filled with a network of `family` whose classes are `names` (default: Cityscapes' 19)."""
    import torch

    torch.manual_seed(0)
    model = network(family, list(names) or [category.name for category in load_space("cityscapes-19").evaluated])
    spread(model)
    model.save_pretrained(folder)
    if family == "oneformer":
        save_tokenizer(folder)
    return folder


SPREAD = ("queries_embedder", "query_position", "query.weight", "class_", "mask_emb", "mask_head.fc", "bbox_attention",
          "encoder_attn")  # fmt: skip


def spread(model: Any) -> None:
    """Queries that differ in mask and class, which is a thing: stuff would merge to one segment a class."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in SPREAD):
                parameter.copy_(torch.randn_like(parameter))
            if "queries_embedder" in name:
                parameter.mul_(3)
            if "class_" in name and name.endswith("bias"):
                parameter[-9:-1] += 30  # Cityscapes' things are its last eight


def network(family: str, names: list[str]) -> Any:
    import transformers

    labels: dict[str, Any] = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    if family == "detr":
        detr = transformers.DetrConfig(
            backbone_config=resnet(), d_model=32, num_queries=12, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=8, decoder_attention_heads=8, encoder_ffn_dim=16, decoder_ffn_dim=16, **labels,
        )  # fmt: skip
        return transformers.DetrForSegmentation(detr)
    if family == "maskformer":
        inner = transformers.DetrConfig(
            d_model=32, num_queries=12, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, backbone_config=resnet(),
        )  # fmt: skip
        return transformers.MaskFormerForInstanceSegmentation(
            transformers.MaskFormerConfig(
                fpn_feature_size=32, mask_feature_size=32, backbone_config=resnet(), decoder_config=inner.to_dict(),
                **labels,
            )
        )  # fmt: skip
    if family == "eomt":
        return transformers.EomtForUniversalSegmentation(
            transformers.EomtConfig(
                hidden_size=32, num_hidden_layers=2, num_blocks=1, num_attention_heads=2, image_size=SIDE,
                num_queries=12, **labels,
            )
        )  # fmt: skip
    if family == "oneformer":
        return transformers.OneFormerForUniversalSegmentation(
            transformers.OneFormerConfig(
                backbone_config=resnet(), conv_dim=32, mask_dim=32, hidden_dim=32, encoder_feedforward_dim=16,
                dim_feedforward=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2, num_queries=12,
                query_dec_layers=1, text_encoder_width=32, **labels,
            )
        )  # fmt: skip
    return transformers.Mask2FormerForUniversalSegmentation(
        transformers.Mask2FormerConfig(
            backbone_config=resnet(), feature_size=32, mask_feature_size=32, hidden_dim=32, num_attention_heads=2,
            encoder_feedforward_dim=16, dim_feedforward=16, encoder_layers=1, decoder_layers=2, num_queries=12,
            **labels,
        )
    )  # fmt: skip


def resnet() -> Any:
    import transformers

    config: Any = transformers.ResNetConfig
    return config(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip


def save_tokenizer(folder: Path) -> None:
    """The files of a CLIP tokenizer that knows single letters: of one in the hub, the form but not the words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
