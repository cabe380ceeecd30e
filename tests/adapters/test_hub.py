import threading
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ModelError

pytest.importorskip("torch")
hub: Any = pytest.importorskip("bench.adapters.hub")


def test_an_unreachable_hub_ends_by_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()
    monkeypatch.setattr(hub, "HUB_SECONDS", 0.1)
    monkeypatch.setattr(hub, "_hub_files", lambda repo, revision: [str(forever.wait(5))])
    with pytest.raises(ModelError, match="did not answer"):
        hub.fetch("nobody/never-there", None)
    forever.set()


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
