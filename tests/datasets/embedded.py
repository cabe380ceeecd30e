"""What the tests of the embedded data sets share."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from bench.datasets.synthetic.manifest import digest


def cpu_features() -> str:
    """What this numpy can switch off on this machine."""
    try:
        from numpy._core import _multiarray_umath as umath
    except ImportError:  # numpy 1.26
        from numpy.core import _multiarray_umath as umath
    return " ".join(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name))


def digests_without_cpu_features(package: str, images: int) -> list[str]:
    """Hashes of the first val images, drawn by a numpy that uses no special instructions."""
    code = (
        "from bench.datasets.synthetic.manifest import digest\n"
        f"from {package}.scene import render\n"
        f"print(*(digest([render('val', i).arrays]) for i in range({images})))"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": cpu_features()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def assert_manifest_covers(hashes: dict[str, Any], version: int, splits: Mapping[str, int]) -> None:
    """The manifest is of this version and these splits, and no two of its hashes are equal."""
    assert hashes["version"] == version
    assert {name: entry["images"] for name, entry in hashes["splits"].items()} == splits
    every = [h for entry in hashes["splits"].values() for h in (entry["all"], *entry["first"])]
    assert len(set(every)) == len(every)


def assert_manifest_holds(hashes: dict[str, Any], **first: list[Any]) -> None:
    """The first images of each split, as drawn now, are those of the manifest."""
    for split, images in first.items():
        assert [digest([arrays]) for arrays in images] == hashes["splits"][split]["first"]
