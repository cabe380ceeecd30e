"""Copies the files that a worker imports into a folder of their own; the worker sees no other file of this package."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bench.__version__ import __version__
from bench.io.files import cache_folder
from bench.models.spec import ModelSpec, adapter_file
from bench.models.user_code import local_modules

# All that an adapter may import of this package; everything here runs on Python 3.9.
PACKAGE = ("errors.py", "types.py", "parallel.py", "_native/__init__.py", "models/__init__.py",
           "models/adapter.py", "models/devices.py", "models/flops.py", "models/hub.py",
           "models/worker/__init__.py", "models/worker/protocol.py", "models/worker/server.py")  # fmt: skip


@dataclass(frozen=True)
class WorkerFiles:
    """`folder` goes on the worker's `sys.path`; the adapter is a module in it, or the copy of a user's file."""

    folder: Path
    module: str | None
    file: Path | None


def copy_worker_files(spec: ModelSpec) -> WorkerFiles:
    """Copy the worker files of a model into a cache folder, named by a digest of the content, and return them."""
    own = adapter_file(spec.adapter)
    contents = {name: source.read_bytes() for name, source in _sources(own).items()}
    contents["bench/__init__.py"] = f'__version__ = "{__version__}"\n'.encode()
    hasher = hashlib.sha256()
    for name in sorted(contents):
        hasher.update(name.encode() + b"\0" + contents[name] + b"\0")
    folder = cache_folder() / "workers" / hasher.hexdigest()[:16]
    if not folder.is_dir():
        _write(folder, contents)
    return WorkerFiles(folder, None if own else spec.adapter.partition(":")[0], own and folder / own.name)


def _sources(own: Path | None) -> dict[str, Path]:
    """Return path in the copy → source file. A shipped adapter comes with all others, since it may import them."""
    package, adapters = Path(str(files("bench"))), Path(str(files("bench.adapters")))
    found = {f"bench/{name}": package / name for name in PACKAGE}
    found |= {f"bench/fusion/{path.name}": path for path in package.glob("fusion/*.py")}
    if own is not None:
        beside = {os.path.relpath(path, own.resolve().parent): path for path in local_modules(own)}
        return {**found, **{name: path for name, path in beside.items() if not name.startswith("..")}, own.name: own}
    return found | {f"bench/adapters/{path.relative_to(adapters)}": path for path in adapters.glob("**/*.py")}


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    """Write the folder atomically, also if two runs write the same one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as scratch:
        made = Path(scratch, folder.name)
        for name, content in contents.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(content)
        try:
            made.rename(folder)
        except OSError:
            # Another run was faster, with the same content.
            if not folder.is_dir():
                raise
