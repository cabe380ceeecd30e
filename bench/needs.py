"""Packages that only some checkpoints need, and the extra that brings them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from bench.errors import ModelError


def check_packages(who: str, needs: Mapping[str, tuple[str, ...]]) -> None:
    """`needs` are extra → packages; a ModelError names what is not installed. Imports nothing."""
    for extra, packages in needs.items():
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if absent:
            raise ModelError(f"{who} needs {' and '.join(absent)}; pip install 'panoptic-bench[{extra}]'")
