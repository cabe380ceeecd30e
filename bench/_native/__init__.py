"""Optional compiled functions. Callers fall back to numpy or zlib, which are slower."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def optional(module: str, name: str) -> Callable[..., Any] | None:
    """Return a function of a module, or None if the module is not installed."""
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    # The package installs without a compiler, and then has no compiled module.
    except ImportError:
        return None
    return found
