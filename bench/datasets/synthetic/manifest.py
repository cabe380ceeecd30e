"""Hashes of decoded pixels, which show that every machine generates the same images."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = tuple[npt.NDArray[Any], ...]  # of one picture: its pixels and its labels
FIRST = 3  # so many images of a split have a hash of their own


def digest(pictures: Iterable[Arrays]) -> str:
    """Return the SHA-256 of the arrays of all pictures in order, numbers as little-endian."""
    total = hashlib.sha256()
    for arrays in pictures:
        for array in arrays:
            # Pixels and not files: the bytes of a PNG depend on the version of zlib.
            total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def entry(draw: Callable[[int], Arrays], images: int) -> dict[str, Any]:
    """Return the manifest entry of a split; `draw(index)` returns the arrays of one picture."""
    first = [digest([draw(index)]) for index in range(FIRST)]
    return {"images": images, "all": digest(draw(index) for index in range(images)), "first": first}


def text(version: int, splits: Mapping[str, dict[str, Any]]) -> str:
    """Return the manifest as JSON: {"version", "splits": {name: {"images", "all", "first"}}}."""
    return json.dumps({"version": version, "splits": dict(splits)}, indent=2) + "\n"


def load(package: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files(package) / "manifest.json").read_text())
    return found
