from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import save_tiny

from bench.types import Image

pytest.importorskip("torch", reason="the adapters need torch, which is not installed here")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny("detr")`: the folder of a checkpoint of random weights, small enough to run in a test."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = save_tiny(family, tmp_path_factory.mktemp(f"tiny-{family}"))
        return made[family]

    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny: Callable[[str], Path]) -> Path:
    """A Mask2Former's."""
    return tiny("mask2former")


@pytest.fixture
def picture() -> Callable[[int, int], Image]:
    """A noisy image of a size (H, W)."""

    def make(height: int, width: int) -> Image:
        rng = np.random.default_rng(height * width)
        return Image(f"{height}x{width}", rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    return make
