"""Provenance of a result: code version, packages, machine. Nothing here raises; unknown values are None."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from bench.__version__ import __version__

HEAD = "# branch.oid "  # before the commit in the output of `git status --porcelain=v2`
# Packages whose version can change a number or a time.
PACKAGES = ("numpy", "pillow", "torch", "transformers", "scipy", "safetensors", "panopticapi-lite")


def provenance() -> dict[str, Any]:
    """Return the version and git commit of this package, the versions of its dependencies, and the machine."""
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
    """Return the installed version of a distribution, or None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str | None:
    """Return the CPU model name from /proc/cpuinfo, else from `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit of a checkout and whether its tree is dirty, ignoring results/ and README.md.

    None if `folder` is not in a git repository with a commit.
    """
    # Runs write below results/, and the leaderboard into the README: neither changes the code that computes a number.
    own = (":/", ":(top,exclude)results", ":(top,exclude)README.md")
    # One call for commit and state, since starting a process is a part of the time of a short run.
    said = _git(folder, "status", "--porcelain=v2", "--branch", "--", *own)
    # A repository without a commit has "(initial)" in place of one.
    if said is None or not said.startswith(HEAD) or said.startswith(f"{HEAD}("):
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
