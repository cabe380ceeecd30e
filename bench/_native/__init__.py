"""What an installation may lack: functions of the kernels in C, which numpy does without, only slower."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def optional(module: str, name: str) -> Callable[..., Any] | None:
    """A function, or None where its module is not installed."""
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except ImportError:
        return None
    return found
