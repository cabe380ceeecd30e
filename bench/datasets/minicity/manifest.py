"""Hashes of decoded pixels: how anyone can tell that this machine draws the same scenes."""

import hashlib
import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from bench.datasets.minicity.scene import SPLITS, VERSION, Scene, render

FIRST = 3  # so many images have a hash of their own


def digest(scenes: Iterable[Scene]) -> str:
    """sha256 over the pixels (RGB, then ids as little-endian 16 bit) of scenes in their order."""
    total = hashlib.sha256()
    for scene in scenes:
        total.update(scene.rgb.tobytes())
        total.update(scene.instance_ids.astype("<u2").tobytes())
    return total.hexdigest()


def compute(split: str) -> dict[str, Any]:
    """The entry of a split, drawn anew."""
    first = [digest([render(split, index)]) for index in range(FIRST)]
    return {"images": SPLITS[split], "all": digest(render(split, i) for i in range(SPLITS[split])), "first": first}


def load() -> dict[str, Any]:
    """The manifest that ships: {"version", "splits": {name: {"images", "all", "first"}}}."""
    found: dict[str, Any] = json.loads((files(__package__) / "manifest.json").read_text())
    return found


def main() -> str:
    """The manifest of the present code, as JSON."""
    return json.dumps({"version": VERSION, "splits": {split: compute(split) for split in SPLITS}}, indent=2)
