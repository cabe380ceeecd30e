"""A class head of several layers in place of the one that transformers' architectures have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.errors import ModelError


def class_head(widths: Sequence[int], activation: str, dropout: float) -> Any:
    """Linear layers from widths[0] over all between to widths[-1]; `activation` is none or relu."""
    from torch import nn

    layers: list[Any] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        if i and activation == "relu":
            layers.append(nn.ReLU())
        if i and dropout:
            layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


def set_layer(model: Any, name: str, layer: Any) -> None:
    """Puts `layer` at the dotted `name`."""
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, layer)


def restore(model: Any, folder: Path, missing: Sequence[str]) -> list[str]:
    """Gives a freshly loaded model the class head that its config.json tells of, with the folder's weights.

    The names that are still missing then. A head that does not fit its weights is a ModelError.
    """
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    told = config.get("class_head")
    if told is None:
        return list(missing)
    prefix = f"{told['name']}."
    head = class_head(told["widths"], told["activation"], 0.0)
    stored = load_file(folder / "model.safetensors")
    weights = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    linears = [layer for layer in head if hasattr(layer, "weight")]
    numbers = sorted({int(name.split(".")[0]) for name in weights})
    try:
        for layer, i in zip(linears, numbers, strict=True):
            layer.load_state_dict({"weight": weights[f"{i}.weight"].float(), "bias": weights[f"{i}.bias"].float()})
    except Exception as error:
        raise ModelError(f"{folder}: the weights of its class head do not fit config.json ({error})") from None
    set_layer(model, told["name"], head)
    return [name for name in missing if not name.startswith(prefix)]
