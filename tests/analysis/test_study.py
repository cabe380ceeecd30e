"""What a study's YAML may say, and what a quick look changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from little import STUDY, write_study

from bench.analysis.study import is_study, load_study
from bench.errors import UsageError
from bench.io.config import find_config, load_yaml
from bench.training.study_arm import arm_recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "arms: [base, clip-1]",
            "arms: [base, clip-2]",
            "contrast 'gradient clip': there is no training 'clip-2'",
        ),
        ("arms: [base, clip-1]", "arms: [base]", "needs at least two arms"),
        ("arms: [base, clip-1]", "arms: [base, base]", "arm 'base' occurs twice"),
        ("name: clip-1", "name: base", "training 'base' occurs twice; names must differ"),
        ("name: clip-1", "name: ../up", "training '../up': write letters"),
        ("seeds: [0, 1]", "seeds: [1, 1]", "training 'base': seed 1 occurs twice"),
        ("seeds: [0, 1]", "seeds: []", "needs at least one seed"),
        ("optimizer.clip_norm: 0.001", "seed: 4", "`set` names a seed; write it in `seeds`"),
        ("training: base", "training: bass", "run on cityscapes-ika: there is no training 'bass'; did you mean 'base'"),
        ("dataset: cityscapes-ika", "dataset: cityscapes", "run 'base on cityscapes' occurs twice"),
        ("recipe: recipe.yaml, seeds: [3]", "recipes: recipe.yaml", "unknown key 'recipes'; did you mean 'recipe'"),
        ("limit: 2", "limit: 0", "quick: `limit` must be at least 1, not 0"),
    ],
)
def test_a_wrong_study_is_one_sentence(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in STUDY
    with pytest.raises(UsageError, match=re.escape(message)):
        load_study(write_study(tmp_path, STUDY.replace(old, new)))


def test_a_quick_look_changes_lengths_and_keeps_what_is_compared(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    whole, quick = load_study(study), load_study(study, quick=True)
    assert [t.name for t in quick.trainings] == [t.name for t in whole.trainings]
    assert quick.trainings[0].set == {"steps": 1}
    assert quick.trainings[1].set == {"steps": 1, "optimizer.clip_norm": 0.001, "images": 2}
    assert {run.limit for run in quick.all_runs()} == {2} and {run.limit for run in whole.all_runs()} == {None}


def test_a_study_without_a_quick_look_says_so(tmp_path: Path) -> None:
    path = write_study(tmp_path, STUDY.rpartition("quick:")[0])
    with pytest.raises(UsageError, match="has no block `quick`; leave --quick out"):
        load_study(path, quick=True)


def test_gate_suites_are_none() -> None:
    assert not is_study(find_config("suites", "ci")) and is_study(find_config("suites", "study"))
    with pytest.raises(UsageError, match="is a suite without trainings"):
        load_study(find_config("suites", "ci"), quick=True)


@pytest.mark.parametrize("quick", [False, True])
def test_every_training_of_the_shipped_study_is_a_recipe_and_differs_from_its_base(quick: bool) -> None:
    study = load_study(find_config("suites", "study"), quick)
    recipes = {t.name: arm_recipe(find_config("train", t.recipe), t.set, t.seeds[0]) for t in study.trainings}
    assert len({repr(recipe) for recipe in recipes.values()}) == len(recipes)
    assert all(recipe.init is not None and recipe.steps is not None for recipe in recipes.values())
    assert {name for contrast in study.contrasts for name in contrast.arms} == set(recipes)
    main = [contrast for contrast in study.contrasts if contrast.name != "image size"]
    seeds = {t.name: len(t.seeds) for t in study.trainings}
    assert all(seeds[name] >= 2 for contrast in main for name in contrast.arms)
    if not quick:
        assert [recipes[n].images for n in ("images-600", "base", "images-3000")] == [600, 1200, 2968]


def test_the_study_goes_on_with_what_a_shipped_recipe_trains() -> None:
    from bench.training.recipe import Recipe

    base = load_yaml(find_config("train", "study-base"), Recipe)
    before = load_yaml(find_config("train", f"{base.family}-tiny-minicoco"), Recipe)
    assert base.init == f"{base.family}/minicoco/tiny"
    assert base.family == before.family and before.dataset == "minicoco:train"


@pytest.mark.parametrize("family", ["detr", "maskformer"])
def test_the_frozen_transformer_is_that_of_either_family(family: str) -> None:
    pytest.importorskip("transformers")
    from fnmatch import fnmatchcase

    from bench.datasets.label_spaces import load_space
    from bench.training.families.family import find_family
    from bench.training.initialization import build
    from bench.training.recipe import Recipe

    study = load_study(find_config("suites", "study"))
    (pattern,) = next(t.set["freeze"] for t in study.trainings if t.name == "frozen-transformer")
    found = find_family(family)  # type: ignore[arg-type]
    recipe = load_yaml(find_config("train", f"{family}-tiny-minicity"), Recipe)
    network = build(recipe, found, load_space("cityscapes-19").evaluated)
    names = [name for name, _ in network.named_parameters()]
    frozen = {name for name in names if fnmatchcase(name, pattern)}
    layers = {name for name in names if "decoder.layers." in name or "model.encoder.layers." in name}
    assert frozen == layers and not any(name.startswith(found.backbone) for name in frozen)
