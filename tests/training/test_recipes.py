"""Every recipe that ships can be read, and what it names is there."""

import re

import pytest
from training_runs import recipe_of

from bench.datasets.dataset import Dataset, parse_dataset_name, plain_spec
from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_dataset
from bench.errors import UsageError
from bench.io.config import find_config, from_dict, load_yaml, shipped_configs
from bench.models.model_file import ModelFile
from bench.training.data.scenes import split
from bench.training.families.family import find_family
from bench.training.initialization import build as build_network
from bench.training.initialization import network_of
from bench.training.recipe import Recipe
from bench.types import Sample

RECIPES, SPACE = shipped_configs("train"), load_space("cityscapes-19").evaluated
BASE = {"dataset": "minicity:train", "held_back": 1, "steps": 1, "network": {}, "optimizer": {"lr": 1e-3}}
FAMILIES = ("mask2former", "maskformer", "detr", "efficientps")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["cityscapes", "coco", "tiny-minicity"])
def test_each_family_has_a_recipe_of_each_kind(family, kind):
    recipe = load_yaml(find_config("train", f"{family}-{kind}"), Recipe)
    assert recipe.family == family and recipe.dataset == f"{kind.removeprefix('tiny-')}:train"


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_names_is_there(name):
    recipe = load_yaml(RECIPES[name], Recipe)
    spec, split = plain_spec(*parse_dataset_name(recipe.dataset))
    assert split == "train" and "panoptic" in spec.carries
    for phase in recipe.phases:
        assert phase.input_px[0] % 32 == phase.input_px[1] % 32 == 0
    if recipe.init is not None:
        model, _, rest = recipe.init.partition("/")
        family, checkpoint = (model, rest) if model in shipped_configs("models") else (recipe.family, recipe.init)
        trained_by = recipe.init.removeprefix("train/")  # what another recipe trains, by default into train/NAME
        assert trained_by in RECIPES or checkpoint in load_yaml(find_config("models", family), ModelFile).checkpoints


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tiny_networks_can_be_built_and_are_tiny(family):
    recipe = load_yaml(find_config("train", f"{family}-tiny-minicity"), Recipe)
    network = build_network(recipe, find_family(family), SPACE)
    assert sum(p.numel() for p in network.parameters()) < 4.0e6  # 8 MB in fp16


def test_the_runs_of_the_study_have_its_hyper_parameters():
    plain, changed = (load_yaml(find_config("train", f"detr-{name}"), Recipe) for name in ("v119", "v125"))
    for recipe in (plain, changed):
        assert (recipe.images, recipe.held_back, recipe.longest_edge) == (1200, 50, 400)
        assert recipe.optimizer.name == "adam" and recipe.optimizer.weight_decay == 1e-4
        assert recipe.class_head.hidden == (128, 64) and recipe.class_head.dropout == 0.2
    assert (plain.epochs, changed.epochs) == (100, 50)
    operations = ("brightness", "saturation", "contrast", "jpeg")
    assert all(getattr(changed.color, name).probability == 0.5 for name in operations)
    assert all(getattr(plain.color, name).probability == 0 for name in operations)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": {}}, "unknown key 'optimiser'; did you mean 'optimizer'"),
        ({"optimizer": {"lr": 1.0, "decay": 0.1}}, "optimizer: unknown key 'decay'"),
        ({"family": "mask3former"}, "family: 'mask3former' is not one of mask2former, maskformer, detr, efficientps"),
        ({"minutes": 3.0}, "needs either minutes or steps or epochs"),
        ({"at_once": 0}, "at_once must be auto or at least 1"),
        ({"geometry": {"scale": [2.0, 1.0]}}, "geometry: flip 0.5 must lie in 0..1 and scale"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(changes, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        recipe_of(**changes)


def data_of(count, carries=("panoptic",)):
    samples = tuple(Sample(str(i), "", lambda: None, lambda: None) for i in range(count))
    return Dataset("mine", "train", SPACE, samples, "cityscapes", carries=carries)


def test_a_data_set_of_semantic_labels_is_refused():
    with pytest.raises(UsageError, match="mine has semantic labels only, and training needs instances; train on"):
        split(data_of(4, ("semantic",)), recipe_of())


def test_scenes_are_held_back_and_used_at_even_distances():
    learn, held = split(data_of(12), recipe_of(held_back=3, images=3))
    assert [s.image_id for s in held] == ["0", "4", "8"] and [s.image_id for s in learn] == ["1", "5", "9"]
    with pytest.raises(UsageError, match="images: 10 of the 9 scenes"):
        split(data_of(12), recipe_of(held_back=3, images=10))


def test_the_order_of_phases_is_checked():
    first = {"until": 0.5, "crop_px": [32, 32], "batch": 1}
    with pytest.raises(UsageError, match="`until` must rise, and reach 1"):
        from_dict(Recipe, {**BASE, "phases": [first]}, "recipe")


def test_the_study_begins_with_a_network_that_ships():
    recipe = load_yaml(find_config("train", "study-base"), Recipe)
    said: list[str] = []
    network_of(recipe, find_family(recipe.family), load_dataset("minicity:demo"), said.append)
    assert "19 classes, 9 of them among its 133" in said[0]
