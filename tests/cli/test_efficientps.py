"""EfficientPS and composed models through the whole command line, with small networks of random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from place import Answer, Call, Place

pytest.importorskip("torch")

from tiny_efficientps import write

# Random weights pass no threshold, and their stuff is in small pieces.
ALL = {"score_threshold": 0.0, "overlap_threshold": 1.0, "min_area_px": 1}

COMPOSED = """\
title: EfficientPS's semantics, another model's instances
adapter: compose:Compose
method: cascade
fusion: {{preset: cascade, min_area_px: 1}}
defaults: {{cityscapes: both}}
checkpoints:
  both:
    categories: {space}
    parts:
      semantic:
        model: efficientps
        checkpoint: {folder}
        set: {{folders.cityscapes.input: {{shorter: 64, longer: 128}}}}
      instances: {{model: ./mine.yaml}}
"""


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tiny-efficientps"))


def run_efficientps(place: Place, call: Call, folder: Path, *more: object) -> Answer:
    options = [f"fusion.{name}={value}" for name, value in ALL.items()]
    options.append("folders.cityscapes.input={shorter: 64, longer: 128}")
    chosen = [part for option in options for part in ("--set", option)]
    arguments = ["--model", "efficientps", "--checkpoint", folder, "--device", "cpu", "--limit", 2, *chosen, *more]
    return call(*place.arguments(*arguments))


def segments(place: Place, model: str) -> list[list[int]]:
    """Category ids of the segments of each image that the only run of a model predicted."""
    (run,) = place.out.glob(f"cityscapes-val/{model}/*")
    content = json.loads((run / "predictions" / "predictions.json").read_text(encoding="utf-8"))
    return [[s["category_id"] for s in annotation["segments_info"]] for annotation in content["annotations"]]


def test_efficientps_predicts_things_and_stuff(place: Place, weights: Path, call: Call) -> None:
    answer = run_efficientps(place, call, weights, "--json", "--batch-size", 2)
    assert answer.code == 0, answer.err
    for found in segments(place, "efficientps"):
        assert len(found) >= 5
        assert any(category >= 24 for category in found) and any(category < 24 for category in found)
    assert json.loads(answer.out)["mIoU"]["semantic"] is not None
    (run,) = place.out.glob("cityscapes-val/efficientps/*")
    told = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert told["parameters"] > 1000 and told["multiply_adds"] > told["parameters"]
    assert told["model"]["method"] == "shared-backbone"


@pytest.mark.parametrize("precision", ["bf16"])
def test_reduced_precision_runs(place: Place, weights: Path, call: Call, precision: str) -> None:
    assert run_efficientps(place, call, weights, "--precision", precision, "--limit", 1).code == 0


def test_two_models_make_one(place: Place, weights: Path, call: Call) -> None:
    """The instances are those of the user's model, which cuts every thing in two."""
    file = place.folder / "both.yaml"
    file.write_text(COMPOSED.format(space="cityscapes-19", folder=weights), encoding="utf-8")
    answer = call(*place.arguments("--model", file, "--device", "cpu", "--limit", 2, "--json"))
    assert answer.code == 0, answer.err
    alone = call(*place.arguments("--limit", 2, "--json"))
    assert alone.code == 0, alone.err
    for found, own in zip(segments(place, "both"), segments(place, "mine"), strict=True):
        assert len(found) >= 5
        assert sorted(c for c in found if c >= 24) == sorted(c for c in own if c >= 24)
    (run,) = place.out.glob("cityscapes-val/both/*")
    told = json.loads((run / "run.json").read_text(encoding="utf-8"))["model"]
    assert told["method"] == "cascade" and told["parts"]["instances"]["name"] == "mine"
    assert str(told["weights"]).count(" + ") == 1


def test_other_weights_of_a_part_are_another_run(place: Place, weights: Path, call: Call, tmp_path: Path) -> None:
    file = place.folder / "both.yaml"
    for folder in (weights, write(tmp_path / "other", seed=1)):
        file.write_text(COMPOSED.format(space="cityscapes-19", folder=folder), encoding="utf-8")
        assert call(*place.arguments("--model", file, "--device", "cpu", "--limit", 1)).code == 0
    assert len(list(place.out.glob("cityscapes-val/both/*"))) == 2


def test_parts_of_different_label_spaces_are_refused(place: Place, weights: Path, call: Call) -> None:
    file = place.folder / "both.yaml"
    file.write_text(COMPOSED.format(space="coco-133", folder=weights), encoding="utf-8")
    answer = call(*place.arguments("--model", file))
    assert (answer.code, answer.out) == (2, "")
    assert "the part semantic has the classes of cityscapes-19, not of coco-133" in answer.err


def test_a_part_that_is_composed_is_refused(place: Place, weights: Path, call: Call) -> None:
    file = place.folder / "both.yaml"
    text = COMPOSED.format(space="cityscapes-19", folder=weights).replace("./mine.yaml", "./both.yaml")
    file.write_text(text, encoding="utf-8")
    answer = call(*place.arguments("--model", file))
    assert (answer.code, answer.out) == (2, "")
    assert "is composed itself" in answer.err


def test_a_part_without_weights_is_named(place: Place, weights: Path, call: Call) -> None:
    folder = place.folder / "broken"
    shutil.copytree(weights, folder)
    (folder / "model.safetensors").unlink()
    file = place.folder / "both.yaml"
    file.write_text(COMPOSED.format(space="cityscapes-19", folder=folder), encoding="utf-8")
    answer = call(*place.arguments("--model", file))
    assert (answer.code, answer.out) == (4, "")
    assert f"{folder}: no weights" in answer.err


def test_no_checkpoint_is_said_with_what_leads_to_one(place: Place, call: Call) -> None:
    answer = call(*place.arguments("--model", "efficientps"))
    assert (answer.code, answer.out) == (4, "")
    assert "efficientps has no checkpoint for cityscapes" in answer.err and "--checkpoint DIR" in answer.err


def test_a_checkpoint_of_another_family_is_told(place: Place, weights: Path, call: Call) -> None:
    folder = place.folder / "other"
    shutil.copytree(weights, folder)
    (folder / "config.json").write_text('{"model_type": "mask2former"}', encoding="utf-8")
    answer = run_efficientps(place, call, folder)
    assert (answer.code, answer.out) == (4, "")
    assert "take --model of that family" in answer.err and "Traceback" not in answer.err


@pytest.mark.parametrize("order", ["swapped", "short"])
def test_classes_of_another_space_are_told(place: Place, weights: Path, call: Call, order: str) -> None:
    folder = place.folder / "other"
    shutil.copytree(weights, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if order == "swapped":
        config["id2label"] |= {"0": "sidewalk", "1": "road"}
    else:
        config["things"] = config["things"][::-1]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    answer = run_efficientps(place, call, folder)
    assert (answer.code, answer.out) == (4, "")
    said = "'sidewalk' stands where" if order == "swapped" else "have instances"
    assert said in answer.err


def test_the_composed_model_is_listed(call: Call) -> None:
    answer = call("models")
    assert answer.code == 0
    assert "compose/minicity/tiny" in answer.out and "of two models" in answer.out
