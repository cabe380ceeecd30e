"""Hashes of decoded pixels: how anyone can tell that this machine draws the same pictures."""

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
    """sha256 over the arrays of pictures in their order, numbers as little-endian."""
    total = hashlib.sha256()
    for arrays in pictures:
        for array in arrays:
            total.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def entry(draw: Callable[[int], Arrays], images: int) -> dict[str, Any]:
    """The entry of a split whose pictures `draw` makes."""
    first = [digest([draw(index)]) for index in range(FIRST)]
    return {"images": images, "all": digest(draw(index) for index in range(images)), "first": first}


def text(version: int, splits: Mapping[str, dict[str, Any]]) -> str:
    """The manifest as it ships: {"version", "splits": {name: {"images", "all", "first"}}}."""
    return json.dumps({"version": version, "splits": dict(splits)}, indent=2) + "\n"


def load(package: str) -> dict[str, Any]:
    """The manifest that ships with a package."""
    found: dict[str, Any] = json.loads((files(package) / "manifest.json").read_text())
    return found
