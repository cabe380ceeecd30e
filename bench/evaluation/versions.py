"""Versions of the shipped code that a number depends on, and which of its files were edited since.

Each area has a version that goes up with every change that moves a number: PQ_VERSION, SEMANTIC_VERSION,
BOUNDARY_VERSION, FUSION_VERSION, LABELS_VERSION, READING_VERSION, and VERSION of each adapter. They stand for the code
in a run's identity. `versions.json` holds the digest of every file that takes part in a run, as it was committed. A
file that differs from it adds its digest to the identity, so that an edit in a checkout gives another run.

`python -m bench.evaluation.versions` writes versions.json; a test fails while it is not current.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

ROOMS = ("io", "metrics", "fusion", "datasets", "results", "models", "models/worker", "evaluation")
PATTERNS = ("*.py", "_native/*", *(f"{room}/*.py" for room in ROOMS))  # below the package
ADAPTERS = ("*.py", "*/*.py")  # below adapters/
VERSION = re.compile(r"^VERSION = (\d+)", re.MULTILINE)
RECORD = Path(__file__).with_name("versions.json")


def edited_files() -> dict[str, str]:
    """Name → digest of the files that differ from versions.json."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    return {name: digest for name, digest in current_record().items() if recorded.get(name) != digest}


def current_record() -> dict[str, str]:
    """Name → digest of all files, as versions.json should have it."""
    return {name: _digest(path) for name, path in _shipped().items()}


@cache
def adapter_versions() -> dict[str, int]:
    """Module → VERSION of the adapters, read from their files: none is imported."""
    texts = {
        name.removeprefix("adapters/").removesuffix(".py").replace("/", "."): path.read_text(encoding="utf-8")
        for name, path in _shipped().items()
        if name.startswith("adapters/")
    }
    return {module: int(found[1]) for module, text in texts.items() if (found := VERSION.search(text))}


def _shipped() -> dict[str, Path]:
    """Name → path of the files; those of adapters/ are called so wherever the package is installed."""
    package, adapters = Path(str(files("bench"))), Path(str(files("bench.adapters")))
    inside = [path for pattern in PATTERNS for path in package.glob(pattern)]
    found = {path.relative_to(package).as_posix(): path for path in inside if path.suffix in (".py", ".c", ".h")}
    beside = [path for pattern in ADAPTERS for path in adapters.glob(pattern)]
    return found | {f"adapters/{path.relative_to(adapters).as_posix()}": path for path in beside}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current_record(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
