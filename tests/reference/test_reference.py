"""Checkpoints in the hub's old form, as an old transformers computed them: the loader takes them, with equal logits.

`make_reference.py --record small` made what lies in small/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_reference import HERE, TOLERANCE, build_small, difference, small_names
from hub_form import SMALL

from bench.errors import ModelError

torch = pytest.importorskip("torch")
hub: Any = pytest.importorskip("bench.adapters.hub")


@pytest.mark.parametrize("name", small_names())
def test_an_old_checkpoint_has_the_logits_that_it_had(tmp_path: Path, name: str) -> None:
    folder = build_small(tmp_path, name)
    assert (folder / "pytorch_model.bin").is_file()
    assert difference(folder) <= TOLERANCE


def test_the_recorded_checkpoints_are_those_that_would_be_made() -> None:
    assert small_names() == sorted(SMALL)
    for name in small_names():
        told = json.loads((HERE / "small" / f"{name}.json").read_text(encoding="utf-8"))
        assert told["config"] == SMALL[name]
        masks = np.load(HERE / "small" / f"{name}.npz")["masks"]
        assert masks.std(axis=1).mean() > 100 * TOLERANCE  # queries differ, so that a wrong decoder shows


def refusal(folder: Path, model_class: str) -> str:
    with pytest.raises(ModelError) as error:
        hub.load_pretrained(folder, model_class)
    return str(error.value)


def without(tmp_path: Path, name: str, tensor: str) -> Path:
    """A recorded checkpoint that lacks a tensor."""
    folder = build_small(tmp_path, name)
    weights = torch.load(folder / "pytorch_model.bin")
    del weights[tensor]
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


ENCODER = "model.pixel_level_module.encoder."


@pytest.mark.parametrize(
    ("name", "model_class"),
    [
        ("mask2former-swin-small-form", "Mask2FormerForUniversalSegmentation"),
        ("oneformer-swin-small-form", "OneFormerForUniversalSegmentation"),
    ],
)
@pytest.mark.parametrize(
    ("tensor", "today"),
    [
        ("encoder.layers.0.blocks.0.layernorm_before.weight", "swin.encoder.layers.0.blocks.0.layernorm_before.weight"),
        ("hidden_states_norms.stage4.bias", "hidden_states_norms.stage4.bias"),
        ("embeddings.norm.weight", "swin.embeddings.norm.weight"),
    ],
)
def test_a_swin_that_lacks_a_tensor_is_refused(
    tmp_path: Path, name: str, model_class: str, tensor: str, today: str
) -> None:
    """The last norm of Swin is not needed and not in these files; everything else is."""
    said = refusal(without(tmp_path, name, ENCODER + tensor), model_class)
    assert f"1 tensors of {model_class} are missing, first {ENCODER}{today}, and none are left over;" in said


def test_a_list_of_names_holds_below_its_module_alone() -> None:
    """The pattern of a part says nothing of a name elsewhere."""
    model, part = torch.nn.Module(), torch.nn.Module()
    part._keys_to_ignore_on_load_missing = [r"swin\.layernorm"]
    model.part = part
    names = {"part.swin.layernorm.bias", "other.swin.layernorm.bias", "partial.swin.layernorm.bias"}
    assert hub.to_load(model, names, "missing") == ["other.swin.layernorm.bias", "partial.swin.layernorm.bias"]
    assert hub.to_load(model, names, "unexpected") == sorted(names)


def test_a_gated_eomt_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    folder = without(tmp_path, "eomt-swiglu-small-form", "layers.1.mlp.weights_out.bias")
    assert "1 tensors of EomtForUniversalSegmentation are missing, first layers.1.mlp.down_proj.bias" in refusal(
        folder, "EomtForUniversalSegmentation"
    )


def test_a_mapping_of_transformers_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import conversion_mapping

    registered: list[Any] = []
    monkeypatch.setattr(conversion_mapping, "get_checkpoint_conversion_mapping", lambda name: [])
    monkeypatch.setattr(conversion_mapping, "register_checkpoint_conversion_mapping", lambda *a: registered.append(a))
    hub.register_swiglu_of_eomt()
    assert registered == []
    monkeypatch.setattr(conversion_mapping, "get_checkpoint_conversion_mapping", lambda name: None)
    hub.register_swiglu_of_eomt()
    assert [name for name, _ in registered] == ["eomt"]


def test_a_maskformer_saved_again_loads_without_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers 4.57 writes a backbone of timm into the decoder's configuration, which uses none."""

    def asked(*given: Any, **more: Any) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.repo_exists", asked)
    folder = build_small(tmp_path, "maskformer-swin-small-form")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["decoder_config"] |= {
        "backbone_config": None, "backbone_kwargs": {"in_chans": 3, "out_indices": [1, 2, 3, 4]},
        "use_pretrained_backbone": True, "use_timm_backbone": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert difference(folder) <= TOLERANCE


# Names of transformers → those that EoMT's training code saves, for a part of them.
AUTHORS = {
    "embeddings.cls_token": "network.encoder.backbone.cls_token",
    "embeddings.position_embeddings.weight": "network.encoder.backbone.pos_embed",
    "layers.0.norm1.weight": "network.encoder.backbone.blocks.0.norm1.weight",
    "query.weight": "network.q.weight",
    "class_predictor.weight": "network.class_head.weight",
    "mask_head.fc1.weight": "network.mask_head.0.weight",
}


def test_weights_of_eomts_training_code_are_told_as_such(tmp_path: Path) -> None:
    folder = build_small(tmp_path, "eomt-small-form")
    weights = torch.load(folder / "pytorch_model.bin")
    torch.save({AUTHORS[name]: tensor for name, tensor in weights.items() if name in AUTHORS}, folder / "x")
    (folder / "x").replace(folder / "pytorch_model.bin")
    said = refusal(folder, "EomtForUniversalSegmentation")
    assert "6 tensors are left over, first network.class_head.weight" in said
    assert "the names of EoMT's own training code: take model.safetensors of the hub's repository" in said
    assert "convert_eomt_to_hf.py" in said and "take --model" not in said
