from pathlib import Path

import pytest

from bench.datasets.label_map_files import load_map
from bench.errors import ModelError, UsageError
from bench.io.config import from_dict, load_yaml, shipped_configs
from bench.models import resolve as routes
from bench.models.model_file import ModelFile, Published
from bench.models.resolve import resolve_model


def test_a_family_without_a_checkpoint_says_what_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = {"detr-cityscapes": Path("a.yaml"), "detr-coco": Path("b.yaml"), "eomt-cityscapes": Path("c.yaml")}
    monkeypatch.setattr(routes, "shipped_configs", lambda kind: recipes if kind == "train" else shipped_configs(kind))
    with pytest.raises(ModelError) as error:
        resolve_model("detr", "cityscapes", space="cityscapes-19")
    said = str(error.value)
    assert said.startswith("detr has no checkpoint for cityscapes: train one (bench train detr-cityscapes --out DIR)")
    assert "coco/resnet-50 or coco/resnet-50-dc5 or coco/resnet-101 (mapped by coco-to-cityscapes)" in said
    assert "detr-coco" not in said
    assert "eomt" not in said


def test_two_maps_in_a_row() -> None:
    assert routes.label_map_chain("coco-133", "ika-12") == ("coco-to-cityscapes", "cityscapes-to-ika")
    assert routes.label_map_chain("coco-133", "coco-133") == ()
    assert routes.label_map_chain("ika-12", "coco-133") is None
    for name in ("coco-to-cityscapes", "cityscapes-to-ika"):
        assert load_map(name).names


def test_where_nothing_leads_a_folder_is_left() -> None:
    with pytest.raises(ModelError, match=r"^maskformer has no checkpoint for mine: give --checkpoint DIR, a folder"):
        resolve_model("maskformer", "mine", space="mine-5")


@pytest.mark.parametrize("family", shipped_configs("models"))
def test_every_default_is_a_checkpoint_and_has_its_numbers(family: str) -> None:
    file = load_yaml(shipped_configs("models")[family], ModelFile)
    assert set(file.defaults.values()) <= set(file.checkpoints)
    for checkpoint in file.checkpoints.values():
        assert checkpoint.repo is None or checkpoint.published is not None
        if checkpoint.published:
            assert 0 < checkpoint.published.PQ < 1
            assert checkpoint.published.source
            assert checkpoint.published.rule == ("eomt" if family == "eomt" else "coco")


def test_a_published_number_has_a_rule_and_is_a_fraction() -> None:
    said = {"dataset": "coco", "PQ": 0.564, "source": "somewhere"}
    assert from_dict(Published, said, "a.yaml").rule == "unknown"
    assert from_dict(Published, {**said, "rule": "torchmetrics"}, "a.yaml").rule == "torchmetrics"
    with pytest.raises(UsageError, match=r"a\.yaml: rule"):
        from_dict(Published, {**said, "rule": "lightly"}, "a.yaml")
    with pytest.raises(UsageError, match=r"published PQ is a fraction of one, not 56\.4"):
        from_dict(Published, {**said, "PQ": 56.4}, "a.yaml")
    with pytest.raises(UsageError, match="published mIoU is a fraction of one, not -1"):
        from_dict(Published, {**said, "mIoU": -1}, "a.yaml")


def test_a_folder_is_taken_for_its_data_set(tmp_path: Path) -> None:
    detr = {name: resolve_model("detr", name, checkpoint=str(tmp_path)) for name in ("cityscapes", "ika", "coco")}
    assert [spec.categories for spec in detr.values()] == ["cityscapes-19", "cityscapes-19", "coco-133"]
    assert (detr["coco"].input.shorter, detr["cityscapes"].input.shorter) == (800, 1024)
    derived = resolve_model("detr", "cityscapes-ika", base="cityscapes", checkpoint=str(tmp_path))
    assert derived.categories == "cityscapes-19"


def test_no_data_set_takes_the_first_checkpoint() -> None:
    checkpoints = load_yaml(shipped_configs("models")["oneformer"], ModelFile).checkpoints
    assert resolve_model("oneformer", None).checkpoint == next(iter(checkpoints))


def test_a_threshold_on_the_command_line_wins_over_the_checkpoints() -> None:
    """The tiny Mask2Former has a score threshold of its own."""
    asked = resolve_model("mask2former", "minicity", overrides={"fusion.score_threshold": 0.6})
    assert resolve_model("mask2former", "minicity").fusion.score_threshold != 0.6
    assert asked.fusion.score_threshold == 0.6
    with pytest.raises(UsageError, match="unknown key"):
        resolve_model("mask2former", "minicity", overrides={"fusion.score": 0.6})
