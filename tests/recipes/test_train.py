import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.config import find, load_yaml
from bench.errors import ModelError, UsageError
from bench.formats.images import write_png
from bench.fusion.presets import FusionSpec
from bench.recipes.augment import PIXEL_MEAN, PIXEL_STD, augment, to_input
from bench.recipes.recipe import Recipe
from bench.recipes.specs import NEVER, ColorPolicy, LossSpec, OptimizerSpec, Phase
from bench.recipes.targets import Scene
from bench.recipes.train import learning_rate, train

TINY = dict(
    stem_width=8, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), feature_width=32, query_width=32,
    queries=8, heads=2, encoder_layers=1, decoder_layers=2, feedforward=32,
)  # fmt: skip
RECIPE = Recipe(
    dataset="cityscapes:train", held_back=1, network=TINY,
    phases=(Phase(0.6, (64, 64), 2, 2), Phase(1.0, (64, 96), 2, 1)),
    optimizer=OptimizerSpec(lr=1e-3, weight_decay=0.01, warmup_steps=2, clip_norm=1.0, ema=0.9),
    loss=LossSpec(match_points=64), fusion="mask2former", steps=5, log_every_steps=1, checkpoints=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Five scenes of road, sky and a car, in the layout of Cityscapes."""
    root, rng = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    for kind in ("leftImg8bit", "gtFine"):
        (root / kind / "train" / "town").mkdir(parents=True)
    for i in range(5):
        ids = np.full((64, 96), 23, dtype=np.uint16)
        ids[32:], ids[30:40, 10 * i : 10 * i + 20] = 7, 26000
        rgb = (ids[..., None] % 251 + rng.integers(0, 4, (64, 96, 3))).astype(np.uint8)
        write_png(root / "leftImg8bit/train/town" / f"town_{i:06d}_000019_leftImg8bit.png", rgb)
        write_png(root / "gtFine/train/town" / f"town_{i:06d}_000019_gtFine_instanceIds.png", ids)
    return root


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
    assert not (out / "checkpoint.pt").exists()


def test_the_chosen_thresholds_are_no_worse_than_the_preset(trained):
    out, reports = trained
    chosen = json.loads((out / "fusion.json").read_text())
    assert chosen["held_back"]["images"] == 1
    assert chosen["held_back"]["PQ"] >= reports[-1].PQ
    assert FusionSpec(**chosen["fusion"]).rule == "mask2former"


def test_a_finished_folder_is_not_trained_over(trained, root):
    with pytest.raises(UsageError, match="finished model"):
        train(RECIPE, trained[0], lambda report: None, root)


def test_an_interrupted_run_goes_on_where_it_was(root, tmp_path):
    def stop_at_three(report):
        if report.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, tmp_path, stop_at_three, root)
    with pytest.raises(UsageError, match="another recipe"):
        train(replace(RECIPE, seed=1), tmp_path, lambda report: None, root)
    reports = []
    train(RECIPE, tmp_path, reports.append, root)
    assert [r.step for r in reports] == [4, 5]
    assert (tmp_path / "model.safetensors").is_file()


def test_a_loss_that_is_no_number_ends_the_run(root, tmp_path):
    broken = replace(RECIPE, loss=replace(RECIPE.loss, class_weight=float("nan")))
    with pytest.raises(ModelError, match=r"step 1: the loss is nan"):
        train(broken, tmp_path, lambda report: None, root)
    assert not (tmp_path / "model.safetensors").exists()


def test_holding_back_everything_is_refused(root, tmp_path):
    with pytest.raises(UsageError, match="held_back"):
        train(replace(RECIPE, held_back=5), tmp_path, lambda report: None, root)


def test_the_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(RECIPE, step, step / 5) for step in range(6)]
    assert rates[0] < rates[1] and rates[1] > rates[2] > rates[3] and rates[5] == 0


def test_a_recipe_needs_one_length_and_phases_that_end():
    with pytest.raises(UsageError, match="either minutes or steps"):
        replace(RECIPE, minutes=1.0)
    with pytest.raises(UsageError, match="phases"):
        replace(RECIPE, phases=(Phase(0.5, (64, 64), 1, 1),))
    with pytest.raises(UsageError, match="upscale"):
        replace(RECIPE, phases=(Phase(1.0, (64, 64), 1, 3),))


def test_image_and_targets_are_cropped_and_mirrored_together():
    index = np.arange(24, dtype=np.uint8).reshape(4, 6)
    scene = Scene(np.repeat(index[..., None], 3, axis=2) * 8, index, np.arange(24, dtype=np.int64))
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
    recipe = load_yaml(find("train", "mask2former-tiny-minicity"), Recipe)
    assert recipe.phase(0.99) == recipe.phases[-1]
    assert recipe.phase(0.99).crop_px == (256, 512)  # whole scenes, as in use
