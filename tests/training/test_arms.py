"""When a folder counts as the finished training of a study, and when it is another's."""

import json
from dataclasses import asdict, replace

import pytest
from training_runs import recipe_of

from bench.errors import UsageError
from bench.training.study_arm import is_finished, note_beginning


@pytest.fixture
def begun(tmp_path):
    """A recipe that begins with a folder of weights, and the folder of the finished training."""
    before, out = tmp_path / "before", tmp_path / "out"
    for folder in (before, out):
        folder.mkdir()
    (before / "model.safetensors").write_bytes(b"first")
    recipe = recipe_of(init=str(before))
    assert not is_finished(recipe, out)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe)))
    (out / "model.safetensors").write_bytes(b"trained")
    note_beginning(recipe, out)
    return recipe, before, out


def test_the_same_recipe_is_finished(begun):
    recipe, before, out = begun
    assert is_finished(recipe, out)
    (before / "model.safetensors").unlink()
    before.rmdir()
    assert not before.exists() and is_finished(replace(recipe), out)


def test_another_recipe_is_refused_and_says_in_what_it_differs(begun):
    recipe, _, out = begun
    with pytest.raises(UsageError, match=r"differs in seed, steps; give another --out or delete the folder"):
        is_finished(replace(recipe, steps=9, seed=2), out)


def test_weights_that_began_elsewhere_are_refused(begun):
    recipe, before, out = begun
    (before / "model.safetensors").write_bytes(b"trained anew")
    with pytest.raises(UsageError, match=r"began with other weights than .*before holds now"):
        is_finished(recipe, out)
