"""Checkpoints that cannot be loaded, through the command line and the real framework."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from pathlib import Path

import pytest
from fakes import bench
from place import Call, Place
from tiny_networks import save_tiny

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint of the right architecture, of random weights."""
    return save_tiny("mask2former", tmp_path_factory.mktemp("good"))


@pytest.fixture
def checkpoint(good: Path, place: Place) -> Path:
    folder = place.folder / "checkpoint"
    folder.mkdir()
    for file in good.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def arguments(place: Place, *more: object) -> list[object]:
    return place.arguments("--model", "mask2former", "--device", "cpu", *more)


def test_the_checkpoint_runs_unspoilt(place: Place, checkpoint: Path, call: Call) -> None:
    """Else the faults below would prove little."""
    answer = call(*arguments(place, "--checkpoint", checkpoint, "--limit", 1, "--set", "fusion.score_threshold=0.0"))
    assert answer.code == 0, answer.err


def test_truncated_weights(place: Place, checkpoint: Path, call: Call) -> None:
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    answer = call(*arguments(place, "--checkpoint", checkpoint))
    assert (answer.code, answer.out) == (4, "")
    assert str(checkpoint) in answer.err
    assert "cannot be loaded as Mask2FormerForUniversalSegmentation" in answer.err
    assert "Traceback" not in answer.err


def test_weights_of_another_architecture(place: Place, checkpoint: Path, call: Call) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(checkpoint / "model.safetensors")
    renamed = {name.replace("transformer_module", "roi_heads"): value for name, value in tensors.items()}
    save_file(renamed, checkpoint / "model.safetensors", metadata={"format": "pt"})
    answer = call(*arguments(place, "--checkpoint", checkpoint))
    assert (answer.code, answer.out) == (4, "")
    assert str(checkpoint) in answer.err
    assert "tensors of Mask2FormerForUniversalSegmentation are missing, first model.transformer_module" in answer.err
    assert "tensors are left over, first model.roi_heads" in answer.err
    assert "its config.json says Mask2FormerForUniversalSegmentation: copy the checkpoint again" in answer.err


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("maskformer", "its config.json says MaskFormerForInstanceSegmentation"),
        ("oneformer", "its config.json says OneFormerForUniversalSegmentation"),
        ("detr", "its config.json says DetrForSegmentation"),
    ],
)
def test_a_checkpoint_of_another_family(place: Place, call: Call, tmp_path: Path, family: str, says: str) -> None:
    answer = call(*arguments(place, "--checkpoint", save_tiny(family, tmp_path / family)))
    assert (answer.code, answer.out) == (4, "")
    assert f"{says}: take --model of that family" in answer.err
    assert "Traceback" not in answer.err


def test_a_timm_backbone_without_timm(place: Place, checkpoint: Path, call: Call) -> None:
    """As DETR's hub checkpoints have it; told before anything of it is loaded."""
    if importlib.util.find_spec("timm"):
        pytest.skip("timm is installed")
    (checkpoint / "config.json").write_text('{"model_type": "detr", "use_timm_backbone": true}', encoding="utf-8")
    answer = call(*place.arguments("--model", "detr", "--checkpoint", checkpoint))
    assert answer.code == 4
    assert "needs timm" in answer.err
    assert "pip install 'panoptic-bench[detr]'" in answer.err


def test_what_a_hub_checkpoint_needs_is_told_before_the_hub_is_asked(
    place: Place, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("timm"):
        pytest.skip("timm is installed")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *given, **more: pytest.fail("a download began"))
    answer = call(*place.arguments("--model", "detr", "--checkpoint", "coco/resnet-50"))
    assert answer.code == 4
    assert "detr/coco/resnet-50 needs timm and torchvision; pip install 'panoptic-bench[detr]'" in answer.err


def test_a_torchvision_for_another_torch(
    place: Place, checkpoint: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = place.folder / "broken" / "torchvision"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(str(broken.parent))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    answer = call(*arguments(place, "--checkpoint", checkpoint))
    assert answer.code == 4
    assert "operator torchvision::nms does not exist" in answer.err
    assert "install the matching build, or uninstall it" in answer.err


@pytest.mark.parametrize(("text", "says"), [("{", "config.json"), ('{"model_type": "no-such-model"}', "checkpoint")])
def test_a_broken_config(place: Place, checkpoint: Path, call: Call, text: str, says: str) -> None:
    (checkpoint / "config.json").write_text(text, encoding="utf-8")
    answer = call(*arguments(place, "--checkpoint", checkpoint))
    assert (answer.code, answer.out) == (4, "")
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_no_cuda_device(place: Place, checkpoint: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = call(*place.arguments("--model", "mask2former", "--checkpoint", checkpoint, "--device", "cuda"))
    assert (answer.code, answer.out) == (4, "")
    assert "--device cpu" in answer.err


def test_a_hub_that_cannot_be_reached(place: Place) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(place.folder / "hub")}
    with bench(*arguments(place, "--checkpoint", "cityscapes/swin-tiny"), **offline) as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (4, ""), err
    assert "facebook/mask2former-swin-tiny-cityscapes-panoptic: the hub did not answer" in err
    assert "--checkpoint DIR" in err
    assert "Traceback" not in err


def test_a_hub_that_never_answers(place: Place, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is a constant of 15 s; here it is short, and the hub is silent until the test ends."""
    from bench.models import hub

    assert hub.HUB_SECONDS <= 15
    over = threading.Event()
    monkeypatch.setenv("HF_HUB_CACHE", str(place.folder / "hub"))
    monkeypatch.setattr(hub, "_hub_commit", lambda *given: str(over.wait()))
    monkeypatch.setattr(hub, "HUB_SECONDS", 0.2)
    answer = call(*arguments(place, "--checkpoint", "cityscapes/swin-tiny"))
    over.set()
    assert (answer.code, answer.out) == (4, "")
    assert "the hub did not answer (no answer in 0 s)" in answer.err
