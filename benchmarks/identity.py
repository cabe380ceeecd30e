"""Time to hash 5,000 images and their truth for the identity of a run, with an empty and a filled digest cache.

    python benchmarks/identity.py [--images 5000]

Images are JPEG of 480×640 px (quality 90, noise over gradients), maps panoptic PNG, all distinct, in the cache of the
file system. The digest cache is empty at the first start. Each start is a process of its own; loading the data set,
which is part of every run, is timed separately.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

START = """
import sys, time
from pathlib import Path
from bench.datasets.registry import load_dataset
from bench.io.hashing import FileDigests
from bench.evaluation.identity import image_inputs
start = time.perf_counter()
data = load_dataset(sys.argv[1] + "/set.yaml", Path(sys.argv[1]))
loaded = time.perf_counter()
inputs = image_inputs(data, FileDigests(), pictures=True)
print(loaded - start, time.perf_counter() - loaded, *inputs.values())
"""
YAML = """\
title: 5,000 images
layout: coco
labels: from-file
splits: [val]
default_split: val
semantic_rule: detectron2
roots: {}
tree: none
obtain: made here
files:
  val: {json: [panoptic.json], panoptic: [panoptic], images: [images]}
"""


def write_one(root: Path, number: int) -> dict[str, object]:
    """Write one image and its map of 20 segments; return the annotation."""
    rng = np.random.default_rng(number)
    ramp = np.linspace(0, 200, 640, dtype=np.float32)[None, :, None]
    rgb = (ramp + rng.integers(0, 56, (480, 640, 3))).astype(np.uint8)
    Image.fromarray(rgb).save(root / "images" / f"{number:06d}.jpg", quality=90)
    ids = np.ones((480, 640, 3), dtype=np.uint8) * (0, 0, 0)
    for segment in range(20):
        top, left = rng.integers(0, 400), rng.integers(0, 560)
        ids[top : top + 80, left : left + 80, 0] = segment + 1
    present = np.unique(ids[..., 0])
    Image.fromarray(ids.astype(np.uint8)).save(root / "panoptic" / f"{number:06d}.png")
    infos = [{"id": int(i), "category_id": 1 + int(i) % 3} for i in present if i]
    return {"image_id": number, "file_name": f"{number:06d}.png", "segments_info": infos}


def write(root: Path, images: int) -> None:
    for name in ("images", "panoptic"):
        (root / name).mkdir()
    with ProcessPoolExecutor() as pool:
        annotations = list(pool.map(partial(write_one, root), range(images), chunksize=50))
    categories = [{"id": i, "name": f"class {i}", "isthing": 1} for i in (1, 2, 3)]
    (root / "panoptic.json").write_text(json.dumps({"annotations": annotations, "categories": categories}))
    (root / "set.yaml").write_text(YAML)


def start(root: Path, cache: Path) -> tuple[float, float, list[str]]:
    """Return seconds of loading, seconds of hashing, and the digests."""
    done = subprocess.run(
        [sys.executable, "-c", START, str(root)], capture_output=True, text=True, check=True,
        env={**os.environ, "BENCH_CACHE": str(cache)},
    )  # fmt: skip
    loading, hashing, *found = done.stdout.split()
    return float(loading), float(hashing), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "data")
        root.mkdir()
        write(root, images)
        size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        old = 1_700_000_000
        for file in root.rglob("*"):
            os.utime(file, (old, old))
        print(f"{images} images, {size / 1e6:.0f} MB, {os.cpu_count()} cores")
        subprocess.run(["sleep", "2.5"], check=True)  # changes of the last two seconds are not cached
        print("start   loading (s)  hashing (s)")
        results = [start(root, Path(scratch, "cache")) for _ in range(4)]
        for name, (loading, hashing, _) in zip(("first", "second", "third", "fourth"), results, strict=True):
            print(f"{name:7} {loading:11.2f}  {hashing:11.2f}")
        assert len({tuple(found) for _, _, found in results}) == 1


if __name__ == "__main__":
    main()
