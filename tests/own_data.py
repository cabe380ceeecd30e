"""A data set of a user's own: three pictures in COCO panoptic format, with classes that no label space has."""

from pathlib import Path

from bench.datasets.example import write_example


def write_own(root: Path) -> Path:
    """Write the example data set and its YAML; return the YAML's path."""
    write_example(root)
    (root / "mine.yaml").write_text("root: .\nfiles: {val: {json: gt.json, panoptic: gt, images: images}}\n")
    return root / "mine.yaml"
