import pytest
import torch
from training_runs import recipe_of

from bench.adapters.class_head import class_head
from bench.datasets.label_spaces import load_space
from bench.training.families import detr, mask2former, maskformer
from bench.training.initialization import adapt_class_head, add_head_layers, merge_head_layers, multiplied

STREETS, COCO = load_space("cityscapes-19").evaluated, load_space("coco-133").evaluated


def test_layers_without_an_activation_are_one_matrix():
    torch.manual_seed(0)
    head = class_head([8, 16, 12, 5], "none", 0.0)
    x = torch.randn(7, 8)
    linear = [layer for layer in head if isinstance(layer, torch.nn.Linear)]
    torch.testing.assert_close(multiplied(linear)(x), head(x))


def test_a_relu_stays_and_is_told_of():
    recipe = recipe_of(class_head={"hidden": [16], "activation": "relu", "dropout": 0.1})
    network = mask2former.build(recipe, STREETS)
    add_head_layers(network, mask2former.FAMILY, recipe)
    assert merge_head_layers(network, mask2former.FAMILY, recipe) is network
    assert network.config.class_head == {"name": "class_predictor", "widths": [32, 16, 20], "activation": "relu"}


@pytest.mark.parametrize("family", [detr, mask2former, maskformer])
def test_a_network_for_other_classes_has_the_shapes_of_one_that_was_built_for_them(family):
    network = family.build(recipe_of(), COCO)
    adapt_class_head(network, family.FAMILY, STREETS)
    fresh = family.build(recipe_of(), STREETS)
    shapes = [{name: tensor.shape for name, tensor in one.state_dict().items()} for one in (network, fresh)]
    assert shapes[0] == shapes[1]
    assert network.config.num_labels == fresh.config.num_labels == 19


def test_other_classes_keep_the_rows_of_those_known_by_name():
    network = mask2former.build(recipe_of(), COCO)
    before = network.class_predictor.weight.clone()
    note = adapt_class_head(network, mask2former.FAMILY, STREETS)
    names = [category.name for category in STREETS]
    theirs = [category.name for category in COCO]
    assert network.class_predictor.weight.shape == (20, 32)
    assert torch.equal(network.class_predictor.weight[names.index("car")], before[theirs.index("car")])
    assert torch.equal(network.class_predictor.weight[-1], before[-1])  # no object
    shared = len(set(names) & set(theirs))
    known, _, fresh = note.partition("; the rows of ")
    assert known == f"19 classes, {shared} of them among its 133" and 5 < shared < 19
    assert len(fresh.removesuffix(" start from random weights").split(", ")) == 19 - shared and "pole" in fresh
    assert adapt_class_head(network, mask2former.FAMILY, STREETS) == ""
