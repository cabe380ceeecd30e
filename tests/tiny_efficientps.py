"""The smallest EfficientPS that has every part, of seeded random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.adapters.efficientps.config import (
    BackboneConfig,
    BoxConfig,
    MaskConfig,
    NetworkConfig,
    RpnConfig,
    SemanticConfig,
    Stage,
    TrainingConfig,
)
from bench.datasets.label_spaces import load_space

CONFIG = NetworkConfig(
    backbone=BackboneConfig(
        "own",
        stem=8,
        stages=(Stage(3, 2, 1, 16, 1), Stage(3, 2, 2, 16, 1), Stage(3, 2, 2, 24, 1), Stage(3, 2, 2, 24, 1)),
        head=32,
    ),
    width=24,
    rpn=RpnConfig(24, True, 3.0, candidates=40, proposals=40, training_candidates=40, training_proposals=40),
    box=BoxConfig(64, 5, 1, 16.0, limit=30),
    mask=MaskConfig(16, 1, 7, 1),
    semantic=SemanticConfig(16, 16, ((1, 2), (1, 1), (2, 3), (3, 2), (2, 1))),
    training=TrainingConfig(
        semantic_stride=4, hard_share=0.5, anchor_samples=64, box_samples=32, box_positive_share=0.5, mask_samples=8
    ),
)


def network(seed: int = 0) -> Any:
    """A network for cityscapes-19."""
    import torch

    from bench.adapters.efficientps.network import build

    torch.manual_seed(seed)
    return build(CONFIG, load_space("cityscapes-19").evaluated)


def varied(seed: int = 0) -> Any:
    """The same with larger last layers, so that many classes and instances come out."""
    import torch

    model = network(seed)
    with torch.no_grad():
        for layer in (model.semantic_head.conv_logits, model.bbox_head.fc_cls, model.mask_head.conv_logits):
            layer.weight.normal_(std=0.5)
    return model


def write(folder: Path, seed: int = 0) -> Path:
    """A checkpoint of `varied` weights."""
    from bench.adapters.efficientps.storage import save

    save(varied(seed), folder, (64, 128))
    return folder
