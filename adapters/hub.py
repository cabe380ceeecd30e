"""Loading of transformers checkpoints from a folder in hub format, with reasons if a checkpoint is invalid.

Older checkpoints of the hub differ from the format of transformers 5; they are converted here.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.adapters.class_head import restore
from bench.errors import ModelError, first_line, require_packages
from bench.models.hub import CONFIG
from bench.models.hub import fetch as fetch
from bench.models.hub import resolve_commit as resolve_commit

# The names in the weights that EoMT's own training code saves begin so.
AUTHORS_EOMT = "network."


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of config.json. Raises ModelError if it is not a JSON object."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({first_line(error)}); copy it from the checkpoint again") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path}: must hold keys, not {type(config).__name__}; copy it from the checkpoint again")
    return config


def load_pretrained(folder: Path, model_class: str) -> Any:
    """Load a model in float32: safetensors first, else weights-only unpickling; never remote code.

    Raises ModelError if tensors are missing. Unexpected tensors alone are no error, since several checkpoints of the
    hub contain parts that are used only in training.
    """
    config = read_config(folder)
    if uses_timm(config):
        require_packages(str(folder), {"detr": ("timm", "torchvision")})
    check_torchvision()
    import torch
    import transformers

    quiet: Any = transformers.logging
    quiet.disable_progress_bar()
    quiet.set_verbosity_error()
    if config.get("use_swiglu_ffn") and config.get("model_type") == "eomt":
        register_swiglu_of_eomt()
    today = as_written_today(config)
    try:
        architecture = getattr(transformers, model_class)
        more = {} if today == config else {"config": architecture.config_class.from_dict(today)}
        model, report = architecture.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32, **more
        )
    except Exception as error:
        raise ModelError(
            f"{folder}: cannot be loaded as {model_class} ({first_line(error)}); {_is_a(config, model_class)}"
        ) from None
    head = restore(model, folder, config) or None
    # The class head is loaded by `restore`, and its layers are no missing or left-over tensors of transformers.
    missing, left_over = (
        [n for n in to_load(model, report[f"{key}_keys"], key) if not n.startswith(f"{head}.")]
        for key in ("missing", "unexpected")
    )
    if missing:
        raise ModelError(
            f"{folder}: {_tensors(missing)} of {model_class} are missing{_first(missing)}, and {_tensors(left_over)} "
            f"are left over{_first(left_over)}; {_remedy(config, model_class, left_over)}"
        )
    return model


def to_load(model: Any, names: Iterable[str], key: str) -> list[str]:
    """Return the missing or unexpected (`key`) tensor names that matter, sorted.

    Modules of transformers list patterns of names that may be missing or unexpected. transformers applies only the
    lists of the whole model, not those of a Swin inside Mask2Former; here, a list applies to names below its module.
    """
    found = set(names)
    for module_name, module in model.named_modules():
        prefix = f"{module_name}." if module_name else ""
        for pattern in getattr(module, f"_keys_to_ignore_on_load_{key}", None) or ():
            found -= {n for n in found if n.startswith(prefix) and re.search(pattern, n.removeprefix(prefix))}
    return sorted(found)


def register_swiglu_of_eomt() -> None:
    """Register the hub's names of EoMT's gated feed-forward layers in transformers.

    transformers renamed these layers of DINOv2 and of EoMT (`weights_in` became `gate_proj` and `up_proj`) but maps the
    old names only for DINOv2. No effect if a mapping for EoMT exists or the layers have the old names.
    """
    try:
        mapping: Any = importlib.import_module("transformers.conversion_mapping")
        loading: Any = importlib.import_module("transformers.core_model_loading")
        known = [mapping.get_checkpoint_conversion_mapping(n) for n in ("eomt", "EomtForUniversalSegmentation")]
    except (ImportError, AttributeError):
        return
    # A later version of transformers may bring its own mapping.
    if any(found is not None for found in known) or not _gated_by_name():
        return
    halves = [
        loading.WeightConverter(
            source_patterns=f"mlp.weights_in.{part}",
            target_patterns=[f"mlp.gate_proj.{part}", f"mlp.up_proj.{part}"],
            operations=[loading.Chunk(dim=0)],
        )
        for part in ("weight", "bias")
    ]
    renamed = loading.WeightRenaming("mlp.weights_out", "mlp.down_proj")
    mapping.register_checkpoint_conversion_mapping("eomt", [*halves, renamed])


def _gated_by_name() -> bool:
    import torch
    import transformers

    eomt: Any = importlib.import_module("transformers.models.eomt.modeling_eomt")
    layer = getattr(eomt, "EomtSwiGLUFFN", None)
    with torch.device("meta"):
        return layer is not None and hasattr(layer(transformers.EomtConfig(hidden_size=8)), "gate_proj")


def as_written_today(config: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a DETR or MaskFormer configuration of transformers 4.57 to the format of transformers 5.

    A timm backbone becomes a `backbone_config`: given `backbone_kwargs`, transformers 5 looks its name up on the hub,
    even for a local folder. `dilation: null`, which 4.57 writes for other backbones, is removed since 5 rejects it.
    """
    told = {key: deepcopy(value) for key, value in config.items() if key != "dilation" or value is not None}
    if isinstance(told.get("decoder_config"), dict):
        told["decoder_config"] = as_written_today(told["decoder_config"])
    options = told.get("backbone_kwargs")
    if not options or told.get("backbone_config") or not told.get("use_timm_backbone"):
        return told
    backbone = {
        "model_type": "timm_backbone",
        "backbone": told.get("backbone") or "resnet50",
        "num_channels": options.get("in_chans", told.get("num_channels", 3)),
        "features_only": True,
        "use_pretrained_backbone": False,
        "out_indices": options.get("out_indices", [1, 2, 3, 4]),
    }
    if stride := options.get("output_stride", 16 if told.get("dilation") else None):
        backbone["output_stride"] = stride
    replaced = ("backbone", "backbone_kwargs", "use_timm_backbone", "use_pretrained_backbone")
    return {**{key: value for key, value in told.items() if key not in replaced}, "backbone_config": backbone}


def _tensors(names: list[str]) -> str:
    return f"{len(names)} tensors" if names else "none"


def _first(names: list[str]) -> str:
    return f", first {names[0]}" if names else ""


def _remedy(config: Mapping[str, Any], model_class: str, left_over: list[str]) -> str:
    if model_class.startswith("Eomt") and any(name.startswith(AUTHORS_EOMT) for name in left_over):
        script = "convert_eomt_dinov3_to_hf.py" if "Dinov3" in model_class else "convert_eomt_to_hf.py"
        return (
            "these are the names of EoMT's own training code: take model.safetensors of the hub's repository, or "
            f"convert the weights with {script} of transformers' source repository"
        )
    return _is_a(config, model_class)


def _is_a(config: Mapping[str, Any], model_class: str) -> str:
    named = config.get("architectures") or [config.get("model_type") or "nothing of its architecture"]
    said = f"its config.json says {named[0]}"
    return f"{said}: take --model of that family" if named[0] != model_class else f"{said}: copy the checkpoint again"


def uses_timm(config: Mapping[str, Any]) -> bool:
    """Return whether the backbone is from timm: by configuration, or as the default of DETR."""
    backbone = config.get("backbone_config") or {}
    default = config.get("model_type") == "detr" and not backbone
    return backbone.get("model_type") == "timm_backbone" or bool(config.get("use_timm_backbone", default))


def check_torchvision() -> None:
    """Raise ModelError if torchvision was built for another torch, which transformers reports without the cause."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        pair = f"torchvision {_version('torchvision')} does not work with torch {_version('torch')}"
        raise ModelError(f"{pair} ({first_line(error)}); install the matching build, or uninstall it") from None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
