"""Where a number comes from: code, packages, machine. Never raises; what cannot be told is null."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from bench.__version__ import __version__

HEAD = "# branch.oid "  # before the commit, in what git says
PACKAGES = ("numpy", "pillow", "torch", "transformers", "scipy", "safetensors", "panopticapi-lite")


def provenance() -> dict[str, Any]:
    """Version and commit of this tool, versions of what it computes with, the machine."""
    return {
        "bench": __version__,
        "git": git_state(Path(__file__).parent),
        "packages": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cpus": os.cpu_count(),
    }


def version(package: str) -> str | None:
    """The installed version of a distribution."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str | None:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree differs from it; results and the README's tables do not count."""
    own = (":/", ":(top,exclude)results", ":(top,exclude)README.md")
    said = _git(folder, "status", "--porcelain=v2", "--branch", "--", *own)  # one call: a process takes its time
    if said is None or not said.startswith(HEAD) or said.startswith(f"{HEAD}("):  # (initial): nothing committed yet
        return None
    first, *others = said.splitlines()
    return {"commit": first.removeprefix(HEAD), "dirty": any(not line.startswith("# ") for line in others)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
