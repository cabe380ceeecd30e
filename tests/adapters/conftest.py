from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.spaces import load_space
from bench.types import Image


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mask2Former of random weights in hub format, small enough to run in a test."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    names = [category.name for category in load_space("cityscapes-19").scored]
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, num_attention_heads=2,
        encoder_feedforward_dim=16, dim_feedforward=16, encoder_layers=1, decoder_layers=2, num_queries=12,
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
    )  # fmt: skip
    model = transformers.Mask2FormerForUniversalSegmentation(config)
    with torch.no_grad():  # queries that differ, so that several classes and masks come out
        for name, parameter in model.named_parameters():
            if "queries" in name or "class_predictor" in name or "mask_embedder" in name:
                parameter.copy_(torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("tiny-mask2former")
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def picture() -> Callable[[int, int], Image]:
    """A noisy image of a size (H, W)."""

    def make(height: int, width: int) -> Image:
        rng = np.random.default_rng(height * width)
        return Image(f"{height}x{width}", rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    return make
