"""Every family from the recipe to the folder that its adapter takes."""

import json

import numpy as np
import pytest
import torch
from training_runs import recipe_of, weights

from bench.datasets.registry import load_dataset
from bench.errors import ModelError, UsageError
from bench.models.loading import load_model
from bench.models.resolve import resolve_model
from bench.training.train import train


@pytest.mark.parametrize("family", ["mask2former", "maskformer", "detr"])
def test_the_folder_is_a_checkpoint_of_the_family(family, root, tmp_path):
    out = train(
        recipe_of(family=family, steps=2, checkpoints=1, weights="fp32"), tmp_path / "out", lambda r: None, root
    )
    spec = resolve_model(family, "cityscapes", checkpoint=str(out))
    assert (spec.input.shorter, spec.input.longer, spec.categories) == (64, 96, "cityscapes-19")
    chosen = json.loads((out / "fusion.json").read_text())["fusion"]
    assert (spec.fusion.rule, spec.fusion.score_threshold) == (family, chosen["score_threshold"])
    adapter = load_model(spec, "cpu")
    image = load_dataset("cityscapes:train", root).samples[0].read_image()
    prediction = adapter.postprocess(adapter.infer([adapter.preprocess(image)])[0], image.size)
    assert prediction.panoptic.size == prediction.semantic.shape == (64, 96)


def test_detr_learns_its_boxes_then_its_masks_with_the_rest_at_rest(root, tmp_path):
    phases = [
        {"until": 0.5, "crop_px": [64, 96], "batch": 2, "boxes_only": True},
        {"until": 1.0, "crop_px": [64, 96], "batch": 2, "restart": True, "freeze": ["detr.*"]},
    ]
    recipe = recipe_of(family="detr", phases=phases, optimizer={"lr": 1e-3}, weights="fp32")
    states = []

    def on_step(report):
        path = tmp_path / "out" / "checkpoint.pt"
        states.append((report, torch.load(path, weights_only=True)["learner"] if path.is_file() else None))

    train(recipe, tmp_path / "out", on_step, root)
    assert [set(report.terms) for report, _ in states[1:3]] == [
        {"class", "box", "giou"}, {"class", "box", "giou", "mask", "dice"},
    ]  # fmt: skip
    half, end = states[1][1], states[3][1]
    changed = {name.split(".")[1] for name in half if not torch.equal(half[name], end[name])}
    assert changed == {"mask_head", "bbox_attention"}


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_a_deeper_class_head_is_handed_over(activation, root, tmp_path):
    head = {"hidden": [16, 12], "activation": activation, "dropout": 0.2}
    recipe = recipe_of(family="detr", steps=2, checkpoints=1, class_head=head, weights="fp32")
    out = train(recipe, tmp_path / "out", lambda report: None, root)
    names = [name for name in weights(out) if name.startswith("detr.class_labels_classifier")]
    assert len(names) == (2 if activation == "none" else 6)
    spec = resolve_model("detr", "cityscapes", checkpoint=str(out))
    assert load_model(spec, "cpu").model.detr.class_labels_classifier(torch.zeros(1, 32)).shape == (1, 20)
    if activation == "relu":
        config = json.loads((out / "config.json").read_text())
        config["class_head"]["widths"][1] = 17
        (out / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match="class head does not fit"):
            load_model(spec, "cpu")


def test_a_checkpoint_begins_a_training_of_the_same_or_another_family(root, tmp_path):
    first = train(recipe_of(steps=1, checkpoints=1, weights="fp32"), tmp_path / "m2f", lambda report: None, root)
    said = []
    whole = recipe_of(network=None, init=str(first), steps=1, checkpoints=1, optimizer={"lr": 0.0}, weights="fp32")
    again = train(whole, tmp_path / "again", lambda report: None, root, said.append)
    name = "class_predictor.weight"
    np.testing.assert_array_equal(weights(first)[name], weights(again)[name])
    other = recipe_of(family="detr", init=str(first), steps=1, checkpoints=1, weights="fp32", optimizer={"lr": 0.0})
    out = train(other, tmp_path / "detr", lambda report: None, root, said.append)
    detr = load_model(resolve_model("detr", "cityscapes", checkpoint=str(out)), "cpu").model.state_dict()
    stem = "encoder.stages.0.layers.0.layer.0.convolution.weight"
    ours, theirs = f"detr.model.backbone.model.{stem}", f"model.pixel_level_module.encoder.{stem}"
    np.testing.assert_array_equal(detr[ours], weights(first)[theirs])
    assert said[0].startswith("init: ") and "start from random weights" in said[1] and "left over" in said[1]
    with pytest.raises(ModelError, match=r"nothing in common with this network: missing \d+ \(.*left over \d+ \("):
        narrow = {**other.network, "widths": [16] * 4, "stem_width": 16, "query_width": 64, "feature_width": 64}
        train(recipe_of(network=narrow, init=str(first)), tmp_path / "no", lambda report: None, root)


def test_a_pattern_without_a_parameter_is_refused(root, tmp_path):
    with pytest.raises(UsageError, match=r"freeze: no parameter is called 'backbone\.\*'; they begin with .*model"):
        train(recipe_of(freeze=["backbone.*"]), tmp_path / "out", lambda report: None, root)


def test_a_network_that_cannot_be_is_one_sentence(root, tmp_path):
    odd = recipe_of(network={**recipe_of().network, "feature_width": 48})
    with pytest.raises(UsageError, match=r"network: mask2former cannot be built so \(num_channels \(48\) must be"):
        train(odd, tmp_path / "out", lambda report: None, root)
