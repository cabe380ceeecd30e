"""Versions of the shipped code that a number depends on, and which of its files were edited since.

Each area has a version that goes up with every change that moves a number: PQ_VERSION, SEMANTIC_VERSION,
BOUNDARY_VERSION, FUSION_VERSION, LABELS_VERSION, READING_VERSION, and VERSION of each adapter. They stand for the code
in a run's identity. `versions.json` holds the digest of every such file as it was released or committed. A file that
differs from it adds its digest to the identity, so that an edit in a checkout gives another run.

`python -m bench.versions` writes versions.json; a test fails while it is not current.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

READING = ("types.py", "overlap.py", "labels.py", "spaces.py", "_maps.c", "_ids.h", "formats/*.[pch]*", "datasets/*.py")
SCORING = ("evaluate.py", "metrics/*.py")
FUSION = ("fusion/*.py",)
ADAPTERS = ("adapters/*.py", "adapters/*/*.py")
CACHE_FOLDER = "__pycache__"
RECORD = Path(__file__).with_name("versions.json")


def edited_files(patterns: Sequence[str]) -> dict[str, str]:
    """Name → digest of the files below the package that differ from versions.json."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    found = {name: _digest(path) for name, path in _shipped(patterns)}
    return {name: digest for name, digest in found.items() if recorded.get(name) != digest}


def current_record() -> dict[str, str]:
    """Name → digest of all files, as versions.json should have it."""
    return {name: _digest(path) for name, path in _shipped((*READING, *SCORING, *FUSION, *ADAPTERS))}


def shipped_name(path: Path) -> str:
    """A file's name in versions.json."""
    for prefix, root in _roots():
        if path.is_relative_to(root):
            return prefix + path.relative_to(root).as_posix()
    raise ValueError(f"{path}: is not a file of this package")


def _roots() -> tuple[tuple[str, Path], ...]:
    return (("adapters/", Path(str(files("bench.adapters")))), ("", Path(str(files("bench")))))


def _shipped(patterns: Sequence[str]) -> Iterator[tuple[str, Path]]:
    adapters, package = (root for _, root in _roots())
    for pattern in patterns:
        folder, glob = (
            (adapters, pattern[len("adapters/") :]) if pattern.startswith("adapters/") else (package, pattern)
        )
        for path in sorted(folder.glob(glob)):
            if path.suffix in (".py", ".c", ".h"):
                yield shipped_name(path), path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current_record(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
