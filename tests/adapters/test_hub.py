from pathlib import Path
from typing import Any

import pytest

from bench.errors import ModelError

pytest.importorskip("torch")
hub: Any = pytest.importorskip("bench.adapters.hub")


@pytest.mark.parametrize(("text", "said"), [("{", "cannot be read"), ("[]", "must hold keys, not list")])
def test_a_broken_config_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=said):
        hub.read_config(tmp_path)


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        ({"model_type": "detr"}, True),
        ({"model_type": "detr", "use_timm_backbone": True, "backbone": "resnet50"}, True),
        ({"model_type": "detr", "use_timm_backbone": False, "backbone_config": {"model_type": "resnet"}}, False),
        ({"model_type": "detr", "backbone_config": {"model_type": "resnet"}}, False),
        ({"model_type": "maskformer", "backbone_config": {"model_type": "timm_backbone"}}, True),
        ({"model_type": "maskformer", "backbone_config": {"model_type": "swin"}}, False),
        ({"model_type": "eomt"}, False),
    ],
)
def test_a_backbone_of_timm_is_known(config: dict[str, Any], needs: bool) -> None:
    assert hub.uses_timm(config) is needs


TIMM = {"model_type": "detr", "use_timm_backbone": True, "backbone": "resnet101", "use_pretrained_backbone": True}


@pytest.mark.parametrize(
    ("options", "dilation", "found"),
    [
        ({"out_indices": [1, 2, 3, 4], "in_chans": 3}, False, ("resnet101", [1, 2, 3, 4], 3, None)),
        ({"out_indices": [2, 4], "in_chans": 1, "output_stride": 16}, True, ("resnet101", [2, 4], 1, 16)),
    ],
)
def test_a_backbone_of_timm_is_written_out_without_the_hub(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], dilation: bool, found: tuple[Any, ...]
) -> None:
    """transformers 4.57 saves DETR with `backbone_kwargs`; a look at the hub fails the test."""
    import transformers

    def asked(*given: Any, **more: Any) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.repo_exists", asked)
    saved = {**TIMM, "backbone_kwargs": options, "backbone_config": None, "dilation": dilation, "num_queries": 7}
    config = transformers.DetrConfig.from_dict(hub.as_written_today(saved))
    backbone = config.backbone_config
    assert (backbone.backbone, backbone.out_indices, backbone.num_channels, backbone.output_stride) == found
    assert config.num_queries == 7 and hub.uses_timm(saved)
    decoder = hub.as_written_today({"model_type": "maskformer", "decoder_config": saved})["decoder_config"]
    assert transformers.DetrConfig.from_dict(decoder).backbone_config.backbone == "resnet101"


def test_a_configuration_of_today_stays_as_it_is() -> None:
    for config in ({"model_type": "detr"}, {**TIMM, "backbone_kwargs": None}, {"dilation": False}):
        assert hub.as_written_today(config) == config
    assert hub.as_written_today({"dilation": None, "backbone_config": {"model_type": "resnet"}}) == {
        "backbone_config": {"model_type": "resnet"}
    }
