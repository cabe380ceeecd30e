"""Environments of their own for frameworks that do not get along: virtual environments below the cache."""

from __future__ import annotations

import os
from pathlib import Path

from bench.cache import cache_folder
from bench.errors import ModelError


def envs_folder() -> Path:
    """`$BENCH_ENVS`, else a folder in the cache."""
    chosen = os.environ.get("BENCH_ENVS")
    return Path(chosen) if chosen else cache_folder() / "envs"


def interpreter(env: str) -> Path:
    """The Python of an environment's name, or of a path (an interpreter, or the folder of an environment)."""
    if "/" not in env:
        python = envs_folder() / env / "bin" / "python"
        if not python.exists():
            raise ModelError(f"the environment {env!r} is not there ({python}); `bench env create {env}` makes it")
        return python
    path = Path(env).expanduser()
    python = path / "bin" / "python" if path.is_dir() else path
    if not os.access(python, os.X_OK):
        raise ModelError(f"env: {env}: there is no Python that can be run; name an interpreter or an environment")
    return python.absolute()
