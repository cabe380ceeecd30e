"""Versions of the shipped code that affect results, and which of its files were edited since.

Each area has a version that is raised with every change of a result: PQ_VERSION, SEMANTIC_VERSION, BOUNDARY_VERSION,
FUSION_VERSION, LABELS_VERSION, READING_VERSION, FORMS_VERSION, and VERSION of each adapter. They represent the code
in a run's identity. `versions.json` holds the committed digest of every file that takes part in a run. The digest of
a file that differs is added to the identity, so that an edit in a checkout gives another run.

`python -m bench.evaluation.versions` writes versions.json; a test fails if it is out of date.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

ROOMS = ("io", "metrics", "fusion", "datasets", "results", "forms", "models", "models/worker", "evaluation")
PATTERNS = ("*.py", "_native/*", *(f"{room}/*.py" for room in ROOMS))  # below the package
ADAPTERS = ("*.py", "*/*.py")  # below adapters/
VERSION = re.compile(r"^VERSION = (\d+)", re.MULTILINE)
RECORD = Path(__file__).with_name("versions.json")


def edited_files() -> dict[str, str]:
    """Return name → digest of the shipped files that differ from versions.json."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    return {name: digest for name, digest in current_record().items() if recorded.get(name) != digest}


def current_record() -> dict[str, str]:
    """Return name → digest of all shipped files: the current content for versions.json."""
    return {name: _digest(path) for name, path in _shipped().items()}


@cache
def adapter_versions() -> dict[str, int]:
    """Return module → VERSION of the shipped adapters, parsed from their files without importing them."""
    # Importing an adapter would import its framework.
    texts = {
        name.removeprefix("adapters/").removesuffix(".py").replace("/", "."): path.read_text(encoding="utf-8")
        for name, path in _shipped().items()
        if name.startswith("adapters/")
    }
    return {module: int(found[1]) for module, text in texts.items() if (found := VERSION.search(text))}


def _shipped() -> dict[str, Path]:
    """Return name → path of the shipped files; adapters are named adapters/… wherever the package is installed."""
    package, adapters = Path(str(files("bench"))), Path(str(files("bench.adapters")))
    inside = [path for pattern in PATTERNS for path in package.glob(pattern)]
    found = {path.relative_to(package).as_posix(): path for path in inside if path.suffix in (".py", ".c", ".h")}
    beside = [path for pattern in ADAPTERS for path in adapters.glob(pattern)]
    return found | {f"adapters/{path.relative_to(adapters).as_posix()}": path for path in beside}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current_record(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
