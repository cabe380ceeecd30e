"""Optional compiled functions. Callers fall back to numpy or zlib, which are slower."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def optional(module: str, name: str) -> Callable[..., Any] | None:
    """Return a function of a module, or None if the module is not installed."""
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except ImportError:
        return None
    return found
