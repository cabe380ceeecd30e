"""A study that trains in seconds: a network of a few channels on scenes of a road, the sky and a car."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.io.images import write_png

Call = Callable[..., tuple[int, str, str]]  # what the command line said: exit code, stdout, stderr
NETWORK = {
    "stem_width": 8, "widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "feature_width": 32, "query_width": 32,
    "queries": 8, "heads": 8, "encoder_layers": 1, "decoder_layers": 1, "feedforward": 32,
}  # fmt: skip
RECIPE = {
    "family": "maskformer", "dataset": "cityscapes:train", "held_back": 1, "network": NETWORK, "steps": 2, "threads": 1,
    "checkpoints": 1, "log_every_steps": 1, "phases": [{"until": 1.0, "crop_px": [64, 96], "batch": 1}],
    "loss": {"match_points": 64}, "optimizer": {"lr": 0.001}, "fusion": {"score_threshold": 0.0},
}  # fmt: skip
STUDY = """\
title: A little <b>study</b>
dataset: cityscapes
notes: ["Two steps & no more."]
trainings:
  - {name: base, recipe: recipe.yaml, seeds: [0, 1]}
  - {name: clip-1, recipe: recipe.yaml, seeds: [3], set: {optimizer.clip_norm: 0.001}, quick: {images: 2}}
contrasts:
  - {name: gradient clip, arms: [base, clip-1]}
runs:
  - {training: base, dataset: cityscapes-ika}
quick: {limit: 2, set: {steps: 1}}
"""


def write_scenes(root: Path) -> Path:
    """Three scenes of 64 x 96 px in each split, in the layout of Cityscapes."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("leftImg8bit", "gtFine"):
            (root / kind / split / "town").mkdir(parents=True)
        for i in range(3):
            ids = np.full((64, 96), 23, dtype=np.uint16)
            ids[32:], ids[30:40, 10 * i : 10 * i + 20] = 7, 26000
            rgb = (ids[..., None] % 251 + rng.integers(0, 4, (64, 96, 3))).astype(np.uint8)
            write_png(root / f"leftImg8bit/{split}/town/town_{i:06d}_000019_leftImg8bit.png", rgb)
            write_png(root / f"gtFine/{split}/town/town_{i:06d}_000019_gtFine_instanceIds.png", ids)
    return root


def write_study(folder: Path, text: str = STUDY) -> Path:
    """study.yaml and the recipe that it names."""
    (folder / "recipe.yaml").write_text(json.dumps(RECIPE), encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path
