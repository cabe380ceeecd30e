"""Training runs of a study: a recipe with overrides, skipped if its folder holds the finished model.

A folder given in `init` may be trained again, so init.json beside the finished weights records the digest of the
initial ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.io.config import load_yaml
from bench.io.files import read_json
from bench.io.hashing import folder_digest
from bench.training.recipe import Recipe

BEGINNING = "init.json"
OTHER_FOLDER = "give another --out or delete the folder"


def arm_recipe(file: Path, changes: Mapping[str, Any], seed: int) -> Recipe:
    """Return the recipe of one seed; `changes` is `{"path.to.key": value}`."""
    return load_yaml(file, Recipe, {**changes, "seed": seed})


def is_finished(recipe: Recipe, out: Path) -> bool:
    """Return whether `out` holds the finished model. Raises UsageError if its recipe or initial weights differ."""
    if not (out / "model.safetensors").is_file():
        return False
    told = read_json(out / "recipe.json", OTHER_FOLDER)
    ours = json.loads(json.dumps(asdict(recipe)))
    if told != ours:
        differing = [key for key in {**told, **ours} if told.get(key) != ours.get(key)]
        raise UsageError(
            f"{out}: was trained by a recipe that differs in {', '.join(sorted(differing))}; {OTHER_FOLDER}"
        )
    began = out / BEGINNING
    now = _beginning(recipe)
    if now is not None and began.is_file() and read_json(began, OTHER_FOLDER) != now:
        raise UsageError(f"{out}: began with other weights than {recipe.init} holds now; {OTHER_FOLDER}")
    return True


def note_beginning(recipe: Recipe, out: Path) -> None:
    """Write the digest of the initial weights to init.json if `init` is a folder."""
    if (found := _beginning(recipe)) is not None:
        (out / BEGINNING).write_text(json.dumps(found) + "\n", encoding="utf-8")


def _beginning(recipe: Recipe) -> dict[str, str] | None:
    if recipe.init is None or not Path(recipe.init).is_dir():
        return None
    return {"init": recipe.init, "weights": folder_digest(Path(recipe.init))}
