import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_runs import Stop, recipe_of, stop_at

from bench.adapters.transformers_models import PIXEL_MEAN, PIXEL_STD
from bench.errors import ModelError, UsageError
from bench.fusion.presets import FusionSpec
from bench.io.config import find_config, load_yaml
from bench.training.data.augment import augment, to_input
from bench.training.data.scenes import TrainingSample
from bench.training.recipe import NEVER, ColorPolicy, Phase, Recipe
from bench.training.train import learning_rate, train

RECIPE = recipe_of(
    phases=[
        {"until": 0.6, "crop_px": [64, 64], "batch": 2, "upscale": 2},
        {"until": 1.0, "crop_px": [64, 96], "batch": 2, "upscale": 1},
    ],
    steps=5, checkpoints=5, threads=2, dense={"semantic_weight": 1.0, "centre_weight": 1.0},
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    reports = []
    out = train(RECIPE, tmp_path_factory.mktemp("trained") / "out", reports.append, root)
    return out, reports


def test_five_steps_report_a_finite_loss_and_a_quality(trained):
    _, reports = trained
    assert [r.step for r in reports] == [1, 2, 3, 4, 5]
    assert all(np.isfinite(r.loss) and r.loss > 0 for r in reports)
    assert reports[-1].done == 1 and 0 <= reports[-1].PQ <= 1


def test_the_folder_loads_as_transformers_model_in_fp16(trained):
    import transformers
    from safetensors.torch import load_file

    out, _ = trained
    model, info = transformers.Mask2FormerForUniversalSegmentation.from_pretrained(
        out, output_loading_info=True, dtype=torch.float32
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.id2label[13] == "car" and len(model.config.id2label) == 19
    floats = {t.dtype for t in load_file(out / "model.safetensors").values() if t.is_floating_point()}
    assert floats == {torch.float16}
    processor = json.loads((out / "preprocessor_config.json").read_text())
    assert processor["size"] == {"height": 64, "width": 96}
    model.eval()
    with torch.inference_mode():
        masks = model(pixel_values=torch.zeros(1, 3, 64, 96)).masks_queries_logits
    assert masks.shape == (1, 8, 16, 24) and masks.isfinite().all()


def test_the_log_has_a_line_a_report(trained):
    out, reports = trained
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [r.step for r in reports]
    assert not any((out / name).exists() for name in ("checkpoint.pt", "best", "candidate"))
    assert set(lines[0]["terms"]) == {"class", "mask", "dice", "semantic", "centre"}
    assert set(lines[-1]["held_back_terms"]) == {"class", "mask", "dice"}
    assert lines[0]["loss"] == pytest.approx(sum(lines[0]["terms"].values()))
    assert [path.stat().st_size > 500 for path in (out / "tensorboard").iterdir()] == [True]


def test_the_chosen_thresholds_are_no_worse_than_the_preset(trained):
    out, reports = trained
    chosen = json.loads((out / "fusion.json").read_text())
    assert chosen["held_back"]["images"] == 1
    assert chosen["held_back"]["PQ"] >= reports[-1].PQ
    assert FusionSpec(**chosen["fusion"]).rule == "mask2former"


def test_a_finished_folder_is_not_trained_over(trained, root):
    with pytest.raises(UsageError, match="finished model"):
        train(RECIPE, trained[0], lambda report: None, root)


def test_a_checkpoint_of_another_recipe_is_not_gone_on_with(root, tmp_path):
    with pytest.raises(Stop):
        train(RECIPE, tmp_path, stop_at(3), root)
    with pytest.raises(UsageError, match="another recipe"):
        train(replace(RECIPE, seed=1), tmp_path, lambda report: None, root)
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"checkpoint.pt: cannot be read .* delete it to start again"):
        train(RECIPE, tmp_path, lambda report: None, root)


def test_a_loss_that_is_no_number_ends_the_run(root, tmp_path):
    broken = replace(RECIPE, loss=replace(RECIPE.loss, class_weight=float("nan")))
    with pytest.raises(ModelError, match=r"step 1: the loss is nan \(class\); lower optimizer.lr"):
        train(broken, tmp_path, lambda report: None, root)
    assert not (tmp_path / "model.safetensors").exists()


def test_holding_back_everything_is_refused(root, tmp_path):
    with pytest.raises(UsageError, match="held_back"):
        train(replace(RECIPE, held_back=5), tmp_path, lambda report: None, root)


def test_the_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(RECIPE, step, step / 5) for step in range(6)]
    assert rates[0] < rates[1] and rates[1] > rates[2] > rates[3] and rates[5] == 0
    constant = replace(RECIPE, optimizer=replace(RECIPE.optimizer, schedule="constant"))
    assert [learning_rate(constant, step, step / 5) for step in range(3)] == [0.5, 1.0, 1.0]


def test_a_restart_begins_the_schedule_anew():
    phases = (Phase(0.5, (64, 64), 2), Phase(0.75, (64, 64), 2, restart=True), Phase(1.0, (64, 64), 2))
    within = replace(RECIPE, phases=phases).within_schedule
    assert [within(done) for done in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 0.5, 0.0, 0.5, 1.0]


def test_a_recipe_needs_one_length_and_phases_that_end():
    with pytest.raises(UsageError, match="either minutes or steps"):
        replace(RECIPE, minutes=1.0)
    with pytest.raises(UsageError, match="phases"):
        replace(RECIPE, phases=(Phase(0.5, (64, 64), 1, 1),))
    with pytest.raises(UsageError, match="upscale"):
        replace(RECIPE, phases=(Phase(1.0, (64, 64), 1, 3),))
    with pytest.raises(UsageError, match="needs a network, or a checkpoint"):
        replace(RECIPE, network=None)


def test_image_and_targets_are_cropped_and_mirrored_together():
    index = np.arange(24, dtype=np.uint8).reshape(4, 6)
    scene = TrainingSample(np.repeat(index[..., None], 3, axis=2) * 8, index, np.arange(24, dtype=np.int64))
    recipe = replace(RECIPE, color=ColorPolicy(brightness=NEVER, tint=NEVER))
    for seed in range(8):
        pixels, cells = augment(scene, recipe, Phase(1.0, (2, 4), 1), 1, np.random.default_rng(seed))
        shown = cells.classes[cells.index].reshape(2, 4)  # the class of a target is its pixel's number
        red = pixels[0].numpy() * PIXEL_STD[0] + PIXEL_MEAN[0]
        np.testing.assert_allclose(red, 8 * shown, atol=1e-3)


def test_enlarged_input_keeps_its_normalised_values():
    pixels = to_input(np.full((2, 4, 3), 123.675, dtype=np.float32), (4, 8))
    assert pixels.shape == (3, 4, 8)
    assert pixels[0].abs().max() < 1e-5


def test_the_shipped_recipe_reads():
    recipe = load_yaml(find_config("train", "mask2former-tiny-minicity"), Recipe)
    assert recipe.phase(0.99) == recipe.phases[-1]
    assert recipe.phase(0.99).crop_px == (256, 512)  # whole scenes, as in use
