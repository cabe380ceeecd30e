"""Environments of their own for frameworks that do not get along: virtual environments below the cache.

`configs/envs/NAME.txt` is a file of requirements for pip. Lines that pip takes for comments say the rest:

    #: unpack NAME==VERSION sha256:HEX FOLDER    the Python files of FOLDER in a source archive, its setup not run
    #: check MODULE ...                          what must import
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bench.cache import cache_folder
from bench.config import did_you_mean
from bench.errors import ModelError, UsageError

MARKER = "bench-requirements.sha256"


@dataclass(frozen=True)
class Unpack:
    """Python files of `folder` in the source archive of `requirement` (name==version)."""

    requirement: str
    sha256: str
    folder: str


@dataclass(frozen=True)
class EnvFile:
    """What stands in a file of configs/envs."""

    name: str
    path: Path
    unpack: tuple[Unpack, ...]
    check: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


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
        return python.absolute()
    path = Path(env).expanduser()
    python = path / "bin" / "python" if path.is_dir() else path
    if not os.access(python, os.X_OK):
        raise ModelError(f"env: {env}: there is no Python that can be run; name an interpreter or an environment")
    return python.absolute()


def env_files() -> dict[str, Path]:
    """The shipped environments by name."""
    return {path.stem: path for path in sorted(Path(str(files("bench.configs"))).glob("envs/*.txt"))}


def read_env(name: str) -> EnvFile:
    """A shipped environment, or a requirements file of the user's (a path ending in .txt)."""
    path = Path(name) if name.endswith(".txt") else env_files().get(name)
    if path is None:
        raise UsageError(f"there is no environment {name!r}; {did_you_mean(name, env_files())}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    said = [line[2:].split() for line in lines if line.startswith("#:")]
    unpack = tuple(_unpack(path, words[1:]) for words in said if words[:1] == ["unpack"])
    return EnvFile(path.stem, path, unpack, tuple(m for words in said if words[:1] == ["check"] for m in words[1:]))


def _unpack(path: Path, words: list[str]) -> Unpack:
    if len(words) != 3 or not words[1].startswith("sha256:") or "==" not in words[0]:
        raise UsageError(f"{path}: write it as `#: unpack NAME==VERSION sha256:HEX FOLDER`")
    return Unpack(words[0], words[1].removeprefix("sha256:"), words[2])


def state(env: EnvFile) -> str:
    """`ready`, `outdated` (its file has changed since) or `missing`."""
    folder = envs_folder() / env.name
    marker = folder / MARKER
    if not marker.is_file():
        return "missing"
    return "ready" if marker.read_text(encoding="utf-8") == env.digest else "outdated"
