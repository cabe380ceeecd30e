"""A recipe that trains in a second, and a network for each family."""

import torch

from bench.io.config import from_dict
from bench.training.recipe import Recipe

NETWORK = dict(
    stem_width=8, widths=[8, 8, 8, 8], depths=[1, 1, 1, 1], feature_width=32, query_width=32,
    queries=8, heads=8, encoder_layers=1, decoder_layers=2, feedforward=32,
)  # fmt: skip


def recipe_of(**changes):
    """A recipe of a few steps on `root`'s scenes; `changes` are its keys."""
    base = dict(
        dataset="cityscapes:train", held_back=1, network=NETWORK, steps=4, threads=1, checkpoints=2, log_every_steps=1,
        phases=[{"until": 1.0, "crop_px": [64, 96], "batch": 2}], loss={"match_points": 64},
        optimizer={"lr": 1e-3, "ema": 0.9, "warmup_steps": 2},
    )  # fmt: skip
    return from_dict(Recipe, {**base, **changes}, "recipe")


def weights(folder):
    """The tensors of a finished training."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(first, second):
    """Whether two sets of tensors are equal to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Stop(Exception):
    """What a test interrupts a training with."""


def stop_at(step):
    """A listener that interrupts at a step."""

    def on_step(report):
        if report.step == step:
            raise Stop

    return on_step
