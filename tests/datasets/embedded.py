"""What the tests of the generated data sets share: hashes of their pixels in manifests/, and how they are made.

`python tests/datasets/embedded.py minicity` prints the manifest of the present code.
"""

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FIRST = 3  # images of a split that have a hash of their own


def manifest(name: str) -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "manifests" / f"{name}.json").read_text())


def arrays(picture: Any) -> tuple[np.ndarray, ...]:
    """Pixels and labels of one picture; of minicoco the size, and (id, category, iscrowd) of the segments, too."""
    if not hasattr(picture, "panoptic"):
        return picture.rgb, picture.instance_ids if hasattr(picture, "instance_ids") else picture.labels
    rows = [(s.source_id or 0, s.category_id, int(s.iscrowd)) for s in picture.panoptic.segments_info]
    size = np.array(picture.panoptic.size, np.int32)
    return size, picture.rgb, picture.panoptic.id_map, np.array(rows, np.int64)


def digest(pictures: Iterable[Any]) -> str:
    """SHA-256 of pixels and labels, little-endian. Not of files: the bytes of a PNG depend on the version of zlib."""
    total = hashlib.sha256()
    for picture in pictures:
        for array in arrays(picture):
            total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def cpu_features() -> str:
    """What this numpy can switch off on this machine."""
    try:
        from numpy._core import _multiarray_umath as umath
    except ImportError:  # numpy 1.26
        from numpy.core import _multiarray_umath as umath
    return " ".join(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name))


def digests_without_cpu_features(name: str, images: int) -> list[str]:
    """Hashes of the first val images, drawn by a numpy that uses no special instructions."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from embedded import digest\n"
        f"from bench.datasets.synthetic.{name}.scene import render\n"
        f"print(*(digest([render('val', i)]) for i in range({images})))"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": cpu_features()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def assert_manifest_covers(hashes: dict[str, Any], version: int, splits: Mapping[str, int]) -> None:
    """The manifest is of this version and these splits, and no two of its hashes are equal."""
    assert hashes["version"] == version
    assert {name: entry["images"] for name, entry in hashes["splits"].items()} == dict(splits)
    every = [h for entry in hashes["splits"].values() for h in (entry["all"], *entry["first"])]
    assert len(set(every)) == len(every)


def assert_manifest_holds(hashes: dict[str, Any], **first: list[Any]) -> None:
    """The first images of each split, as drawn now, are those of the manifest."""
    for split, pictures in first.items():
        assert [digest([picture]) for picture in pictures] == hashes["splits"][split]["first"]


if __name__ == "__main__":
    scene = importlib.import_module(f"bench.datasets.synthetic.{sys.argv[1]}.scene")
    entries = {
        split: {
            "images": images,
            "all": digest(scene.render(split, index) for index in range(images)),
            "first": [digest([scene.render(split, index)]) for index in range(FIRST)],
        }
        for split, images in scene.SPLITS.items()
    }
    print(json.dumps({"version": scene.VERSION, "splits": entries}, indent=2))
