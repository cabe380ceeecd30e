"""The trainings of a study: a recipe with other values, trained unless its folder holds it finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.config import load_yaml
from bench.errors import UsageError
from bench.recipes.recipe import Recipe


def arm_recipe(file: Path, changes: Mapping[str, Any], seed: int) -> Recipe:
    """The recipe of one seed; `changes` are `{"path.to.key": value}`."""
    return load_yaml(file, Recipe, {**changes, "seed": seed})


def is_finished(recipe: Recipe, out: Path) -> bool:
    """Whether a folder holds this training to its end; one of another recipe is a UsageError."""
    if not (out / "model.safetensors").is_file():
        return False
    told = json.loads((out / "recipe.json").read_text(encoding="utf-8"))
    ours = json.loads(json.dumps(asdict(recipe)))
    if told != ours:
        differing = [key for key in {**told, **ours} if told.get(key) != ours.get(key)]
        raise UsageError(
            f"{out}: was trained by a recipe that differs in {', '.join(sorted(differing))}; "
            "give another --out or delete the folder"
        )
    return True
