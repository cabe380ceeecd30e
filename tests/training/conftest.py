"""Scenes in the layout of Cityscapes."""

import numpy as np
import pytest

from bench.io.images import write_png

pytest.importorskip("torch", reason="training needs torch, which is not installed here")


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Five scenes of road, sky and a car."""
    root, rng = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    for kind in ("leftImg8bit", "gtFine"):
        (root / kind / "train" / "town").mkdir(parents=True)
    for i in range(5):
        ids = np.full((64, 96), 23, dtype=np.uint16)
        ids[32:], ids[30:40, 10 * i : 10 * i + 20] = 7, 26000
        rgb = (ids[..., None] % 251 + rng.integers(0, 4, (64, 96, 3))).astype(np.uint8)
        write_png(root / "leftImg8bit/train/town" / f"town_{i:06d}_000019_leftImg8bit.png", rgb)
        write_png(root / "gtFine/train/town" / f"town_{i:06d}_000019_gtFine_instanceIds.png", ids)
    return root
