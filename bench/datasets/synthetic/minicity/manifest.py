"""Hashes of minicity: RGB, then ids as little-endian uint16."""

from collections.abc import Iterable
from typing import Any

from bench.datasets.synthetic import manifest
from bench.datasets.synthetic.minicity.scene import SPLITS, VERSION, Scene, render


def arrays(scene: Scene) -> manifest.Arrays:
    return scene.rgb, scene.instance_ids


def digest(scenes: Iterable[Scene]) -> str:
    return manifest.digest(arrays(scene) for scene in scenes)


def load() -> dict[str, Any]:
    return manifest.load(__package__)


def main() -> str:
    """Compute the manifest of the present code, as JSON."""
    entries = {
        split: manifest.entry(lambda index, split=split: arrays(render(split, index)), images)  # type: ignore[misc]
        for split, images in SPLITS.items()
    }
    return manifest.text(VERSION, entries)
