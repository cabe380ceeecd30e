"""The local modules of a user's own adapter: which files its code is read from."""

from __future__ import annotations

import ast
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def local_modules(file: Path) -> list[Path]:
    """An adapter's file and the local modules that it imports, inside functions too, directly or through others.

    Local is what lies beside the adapter or on `sys.path` outside of site-packages and the standard library. Names
    come from the syntax tree, so nothing is run: a name that is computed is not found (see `fresh_modules`).
    """
    roots = [file.parent, *(Path(entry or ".") for entry in sys.path if _is_local(Path(entry or ".").resolve()))]
    found: dict[Path, None] = {}
    pending = [file]
    while pending:
        module = pending.pop()
        if module.resolve() not in found and module.is_file():
            found[module.resolve()] = None
            pending += [path for name, base in _imports(module) for path in _files(name, base or roots)]
    return sorted(found)


def _imports(module: Path) -> Iterator[tuple[str, list[Path] | None]]:
    """The dotted names that a module imports; of a relative import also the folder that the name starts at."""
    try:
        tree = ast.parse(module.read_bytes())
    except (SyntaxError, ValueError):  # loading it tells what is wrong
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = None if node.level == 0 else [module.parents[node.level - 1]]
            for alias in node.names:
                yield ".".join(filter(None, [node.module, alias.name])), base
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
            yield from ((arg.value, None) for arg in node.args[:1] if _is_text(arg))  # type: ignore[attr-defined]


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _files(name: str, roots: list[Path]) -> Iterator[Path]:
    """The files that an import of a dotted name runs: its packages' __init__.py and the module's own."""
    parts = name.lstrip(".").split(".")
    if parts[0] in sys.stdlib_module_names or parts[0] == "bench":
        return
    for root in [*roots, *_editable(parts[0])]:
        places = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
        files = [file for place in places for file in (place / "__init__.py", place.with_name(f"{place.name}.py"))]
        there = [file for file in files if file.is_file()]
        if there:
            yield from there
            return


@contextmanager
def fresh_modules(listed: Collection[Path]) -> Iterator[Callable[[], list[str]]]:
    """Import these files anew inside the context; yields what names the local modules loaded beyond them, so far.

    Python takes a module that was imported before from memory, and one that was edited within a second, at the same
    size, from `__pycache__`: both would be the code of another identity.
    """
    if not listed:
        yield list
        return
    _forget(path.resolve() for path in listed)
    before, writes = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield lambda: [name for name, path in _local_since(before) if path not in listed]
    finally:
        sys.dont_write_bytecode = writes
        _forget(path for _, path in _local_since(before))


def _local_since(before: Collection[str]) -> list[tuple[str, Path]]:
    """Name and file of the local modules that are loaded and whose names are not among `before`."""
    loaded = [
        (name, Path(file).resolve())
        for name, module in sys.modules.items()
        if name not in before and name.partition(".")[0] != "bench" and (file := getattr(module, "__file__", None))
    ]
    return sorted((name, path) for name, path in loaded if _is_local(path))


def _forget(files: Iterable[Path]) -> None:
    """Remove the modules of these files from sys.modules."""
    paths = set(files)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__" and Path(file).resolve() in paths:
            del sys.modules[name]


def _editable(package: str) -> list[Path]:
    """The folder of a package that is installed in place, from a checkout."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return []
    origin = Path(spec.origin).resolve()
    folder = origin.parents[1] if spec.submodule_search_locations else origin.parent
    return [folder] if _is_local(origin) else []


def _is_local(path: Path) -> bool:
    """Whether a resolved path is outside of installed packages, the standard library and this package."""
    return not any(path.is_relative_to(folder) for folder in _installed())


def _installed() -> list[Path]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(kind) for kind in kinds]
    site_packages = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    return [PACKAGE, *(Path(f).resolve() for f in (*folders, *site_packages, site.getusersitepackages()))]
