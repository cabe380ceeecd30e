"""Class heads of several linear layers, in place of the single layer of transformers' architectures."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import ModelError


def class_head(widths: Sequence[int], activation: str, dropout: float) -> Any:
    """Build linear layers from widths[0] through widths[-1]; `activation` is "none" or "relu"."""
    from torch import nn

    layers: list[Any] = []
    # Not itertools.pairwise: Python 3.9 lacks it, and workers of other frameworks import this file.
    for i, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:])):  # noqa: B905, RUF007
        # Both layers always, so that the number of a linear layer, part of its tensors' names, is the same for all.
        if i:
            layers += [nn.ReLU() if activation == "relu" else nn.Identity(), nn.Dropout(dropout)]
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


def set_layer(model: Any, name: str, layer: Any) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, layer)


def restore(model: Any, folder: Path, config: Mapping[str, Any]) -> str:
    """Rebuild the class head that config.json describes, and load its weights from the folder.

    Return the dotted name of the head, or "" if there is none. Raises ModelError if weights and config differ.
    """
    from safetensors.torch import load_file

    told = config.get("class_head")
    if told is None:
        return ""
    prefix = f"{told['name']}."
    try:
        head = class_head(told["widths"], told["activation"], 0.0)
        stored = load_file(folder / "model.safetensors")
        head.load_state_dict({n.removeprefix(prefix): t.float() for n, t in stored.items() if n.startswith(prefix)})
    except Exception as error:
        raise ModelError(f"{folder}: its class head does not fit config.json ({error}); copy both again") from None
    set_layer(model, told["name"], head)
    return str(told["name"])
