"""A killed training goes on as if nothing had been; the same recipe gives the same weights, threads and all."""

import json

import pytest
import torch
from training_runs import Stop, recipe_of, same, stop_at, weights

from bench.training.train import train

SMALL = {"crop_px": [32, 48], "batch": 2}
FIFTY = recipe_of(
    steps=50, checkpoints=2, dense={"semantic_weight": 1.0},
    phases=[{"until": 0.3, **SMALL}, {"until": 1.0, **SMALL, "zoom": [0.5, 2.0], "freeze": ["*.encoder.embedder.*"]}],
    color={"jpeg": {"probability": 0.5}, "saturation": {"probability": 0.5, "strength": 0.5}}, workers=2,
    class_head={"hidden": [16], "activation": "relu", "dropout": 0.2},
    optimizer={"lr": 1e-3, "ema": 0.9, "warmup_steps": 2, "backbone_lr": 1e-4},
)  # fmt: skip


def told(out):
    """What the log says of each step, but for the time it took."""
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["lr"], line["PQ"]) for line in lines]


def test_fifty_steps_killed_in_the_middle_end_with_the_same_weights(root, tmp_path):
    whole = train(FIFTY, tmp_path / "whole", lambda report: None, root)
    with pytest.raises(Stop):
        train(FIFTY, tmp_path / "killed", stop_at(37), root)  # the checkpoint is of step 25
    state = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)
    assert state["step"] == 25 and not (tmp_path / "killed" / "model.safetensors").exists()
    resumed = train(FIFTY, tmp_path / "killed", lambda report: None, root)
    assert same(weights(whole), weights(resumed))
    lines = [
        [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()] for out in (whole, resumed)
    ]
    assert [(r["step"], r["loss"], r["PQ"]) for r in lines[0]] == [(r["step"], r["loss"], r["PQ"]) for r in lines[1]]
    assert len(lines[0]) == 50


def test_threads_do_not_race(root, tmp_path):
    recipe = recipe_of(steps=3, threads=2, checkpoints=1)
    first, second = (weights(train(recipe, tmp_path / name, lambda report: None, root)) for name in "ab")
    assert same(first, second)


def test_the_seed_matters(root, tmp_path):
    first, second = (
        weights(train(recipe_of(steps=1, checkpoints=1, seed=seed), tmp_path / str(seed), lambda report: None, root))
        for seed in (0, 1)
    )
    assert not same(first, second)
