"""Storage of a network in hub format: config.json, model.safetensors, preprocessor_config.json."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from bench.adapters.efficientps.config import NetworkConfig
from bench.adapters.efficientps.network import Network
from bench.adapters.hub import read_config
from bench.adapters.transformers_models import IMAGENET_MEAN, IMAGENET_STD
from bench.adapters.weights_only import load_weights
from bench.errors import BenchError, ModelError
from bench.io.canonical_json import to_plain
from bench.io.config import from_dict
from bench.io.files import write_json
from bench.models.weights import weights_file

MODEL_TYPE = "bench-efficientps"


def save(model: Network, folder: Path, input_px: tuple[int, int]) -> None:
    """Write the folder with weights in fp16; `input_px` is (height, width). The model is unchanged."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": MODEL_TYPE,
        "id2label": {str(i): name for i, name in enumerate(model.names)},
        "things": list(model.things),
        "network": to_plain(model.config),
    }
    write_json(folder / "config.json", config, indent=2)
    height, width = input_px
    size = {"height": height, "width": width}
    processor = {"do_resize": True, "size": size, "do_normalize": True, "size_divisor": 32}
    statistics = {"rescale_factor": 1 / 255, "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}
    write_json(folder / "preprocessor_config.json", {**processor, **statistics}, indent=2)
    tensors = {name: _half(tensor) for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _half(tensor: Tensor) -> Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()


def load(folder: Path) -> Network:
    """Load the network in float32 and eval mode. Raises ModelError if the folder is invalid."""
    config, file = read_config(folder), folder / "config.json"
    if (found := config.get("model_type")) != MODEL_TYPE:
        raise ModelError(f"{file}: model_type is {found!r}, not {MODEL_TYPE!r}; take --model of that family")
    try:
        network = Network(
            from_dict(NetworkConfig, config["network"], str(file)),
            [config["id2label"][str(i)] for i in range(len(config["id2label"]))],
            [int(i) for i in config["things"]],
        )
    except (KeyError, TypeError, ValueError, BenchError) as error:
        raise ModelError(f"{file}: is not a configuration of EfficientPS ({error}); copy both files again") from None
    tensors = _read_weights(folder)
    if left := sorted(tensors.keys() - network.state_dict().keys()):
        raise ModelError(f"{folder}: {len(left)} tensors are left over, first {left[0]}; copy both files again")
    load_weights(network, tensors, folder)
    return network.float().eval()


def _read_weights(folder: Path) -> dict[str, Tensor]:
    file = weights_file(folder)
    if file is None:
        raise ModelError(f"{folder}: no weights (model.safetensors or pytorch_model.bin) here; copy them there")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:
        raise ModelError(f"{file}: cannot be loaded ({str(error).splitlines()[0][:200]})") from None
