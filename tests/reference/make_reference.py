"""Checkpoints in the form of the hub's old files and the logits of an old transformers.

    python make_reference.py FOLDER NAME ...    a folder each: config.json, pytorch_model.bin, logits.npz
    python make_reference.py --record FOLDER    the small ones, without weights: NAME.json and NAME.npz

It runs in the environment `transformers4` (`bench env create transformers4`) and imports nothing of this project but
its neighbours. Weights follow the formula of `formula_weights`.
"""

from __future__ import annotations

import json
import re
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from formula_weights import formula_tensor, forward, position_index
from hub_form import FULL, NO_TIMM, SMALL, Config, resnet

# A ResNet of transformers has other names than timm's, whose names the hub's DETR has.
TIMM = {
    r"embedder\.embedder\.convolution": "conv1",
    r"embedder\.embedder\.normalization": "bn1",
    r"encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.convolution": r"layer<\1>.\2.downsample.0",
    r"encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.normalization": r"layer<\1>.\2.downsample.1",
    r"encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.convolution": r"layer<\1>.\2.conv<\3>",
    r"encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.normalization": r"layer<\1>.\2.bn<\3>",
}


def network(config: Config) -> Any:
    """The network of a configuration. timm's resnet50 is built as transformers' own, which computes the same."""
    said = deepcopy(config)  # transformers takes nested keys out
    if said["model_type"] == "detr" and not said.get("backbone_config"):
        said |= {**NO_TIMM, "backbone_config": resnet(64, [256, 512, 1024, 2048], [3, 4, 6, 3], "bottleneck")}
    kind = getattr(transformers, config["architectures"][0])
    return kind(kind.config_class.from_dict(said)).eval()


def hub_name(name: str, config: Config) -> str:
    """The name that a tensor has in the hub's file."""
    if config["model_type"] == "detr" and not config.get("backbone_config"):
        for own, timm in TIMM.items():
            name = re.sub(own, timm, name)
        name = re.sub(r"<(\d+)>", lambda number: str(int(number[1]) + 1), name)
    return name


def fill(model: Any, config: Config) -> dict[str, Any]:
    """Gives the network its weights, by their names in the hub's file, and returns that file's tensors."""
    stored = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        known = hub_name(name, config)
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(formula_tensor(known, tensor.shape)))
        stored[known] = tensor
        table = "relative_position_bias_table"
        if known.endswith(table):  # old files hold what follows from the window, too
            side = (int(tensor.shape[0] ** 0.5) + 1) // 2
            index = torch.from_numpy(position_index(side**2))
            stored.setdefault(known.replace(table, "relative_position_index"), index)
    return stored


def logits(model: Any, config: Config) -> dict[str, Any]:
    """Class and mask logits of the formula's image, float32, and the (H, W) of that."""
    side = config.get("image_size")
    size = (side, side) if side else (256, 320) if config in FULL.values() else (64, 96)
    return {**forward(model, config, size), "size": np.array(size)}


def make(folder: Path, name: str) -> None:
    """The folder of one checkpoint, with its logits beside."""
    config = {**SMALL, **FULL}[name]
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = network(config)
    torch.save(fill(model, config), place / "pytorch_model.bin")
    np.savez(place / "logits.npz", **logits(model, config))


def record(folder: Path) -> None:
    """The small checkpoints without their weights: configuration, names and shapes, logits."""
    for name, config in SMALL.items():
        model = network(config)
        tensors = {key: list(tensor.shape) for key, tensor in fill(model, config).items()}
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(shape)}" for key, shape in tensors.items())
        (folder / f"{name}.json").write_text(f'{{"config": {json.dumps(config)},\n"tensors": {{\n{lines}\n}}}}\n')
        np.savez_compressed(folder / f"{name}.npz", **logits(model, config))


if __name__ == "__main__":
    torch.manual_seed(0)
    with torch.no_grad():
        if sys.argv[1] == "--record":
            record(Path(sys.argv[2]))
        for chosen in sys.argv[2:] if sys.argv[1] != "--record" else []:
            make(Path(sys.argv[1]), chosen)
