"""Code of a user's adapter: the local files that it imports, and execution from exactly these sources."""

from __future__ import annotations

import ast
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from types import ModuleType

from bench.errors import UsageError
from bench.models.spec import ModelSpec, adapter_file

# A folder that cannot exist: below it Python finds no compiled file and compiles the source that was hashed.
NO_CACHE = "/dev/null/none"

# Of the open contexts. An audit hook cannot be removed once it is added, so that one hook serves them all.
_sinks: list[set[str]] = []
_hooks: list[str] = []


@dataclass(frozen=True)
class UserCode:
    """Code of a model and its submodels that is not shipped.

    `modules` is the file of each user adapter → its local modules, `here` the adapters that run in this process, and
    `reads` the files and folders listed in the YAML.
    """

    modules: Mapping[Path, Sequence[Path]]
    here: Sequence[Path]
    reads: Sequence[Path]

    def names(self, adapter: Path) -> list[tuple[str, Path]]:
        """Return (path relative to the adapter's folder, file) of its local modules; the adapter has the name ""."""
        folder, own = adapter.resolve().parent, adapter.resolve()
        return [("" if path == own else os.path.relpath(path, folder), path) for path in self.modules[adapter]]

    def require_distinct(self) -> None:
        """Raise UsageError if adapters of this process import different modules of the same name."""
        places: dict[str, Path] = {}
        for name, path in chain.from_iterable(map(self.names, self.here)):
            if name and places.setdefault(name, path) != path:
                raise UsageError(f"{places[name]} and {path} are two modules of one name in one model; rename one")


def user_code(spec: ModelSpec) -> UserCode:
    """Return the user code of a model. Its files are parsed, not run."""
    models = [spec, *spec.parts.values()]  # a part has no parts
    own = [(file, model.env) for model in models if (file := adapter_file(model.adapter)) is not None]
    return UserCode(
        modules={file: local_modules(file) for file in dict.fromkeys(file for file, _ in own)},
        here=[file for file, env in own if env is None],
        reads=[Path(name).resolve() for model in models for name in model.reads],
    )


def local_modules(file: Path) -> list[Path]:
    """Return an adapter's file and all local modules that it imports, directly or indirectly, also inside functions.

    Local means beside the adapter, or on `sys.path` outside of site-packages and the standard library. Imports are
    found in the syntax tree without running code, so computed module names are missed (see `isolated`).
    """
    roots = [file.resolve().parent, *(path for entry in sys.path if _is_local(path := Path(entry or ".").resolve()))]
    found: dict[Path, None] = {}
    pending = [file]
    while pending:
        module = pending.pop()
        if module.resolve() not in found and module.is_file():
            found[module.resolve()] = None
            pending += [path for name, base in _imports(module) for path in _files(name, base, roots)]
    return sorted(found)


def _imports(module: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield (dotted name, base folder) of all imports in a module; the folder is None for absolute imports."""
    try:
        tree = ast.parse(module.read_bytes())
    except (SyntaxError, ValueError):
        # The error is reported when the module is loaded.
        return
    folders = [*module.resolve().parents, Path("/")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = None if node.level == 0 else folders[min(node.level, len(folders)) - 1]
            for alias in node.names:
                yield ".".join(filter(None, [node.module, alias.name])), base
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
            named = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]
            for name in [a.value for a in named if isinstance(a, ast.Constant) and isinstance(a.value, str)]:
                level = len(name) - len(name.lstrip("."))
                yield name.lstrip("."), folders[min(level, len(folders)) - 1] if level else None


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _files(name: str, base: Path | None, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that importing a dotted name runs: __init__.py of its packages and the module itself."""
    parts = name.split(".")
    if base is None and (parts[0] in sys.stdlib_module_names or parts[0] == "bench"):
        return
    for root in [base] if base is not None else [*roots, *_in_place(parts[0])]:
        places = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
        files = [file for place in places for file in (place / "__init__.py", place.with_name(f"{place.name}.py"))]
        there = [file for file in files if file.is_file()]
        if there:
            yield from there
            return


def _in_place(package: str) -> list[Path]:
    """Return the parent folder of a package in an editable installation, as a list; [] for any other."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return []
    origin = Path(spec.origin).resolve()
    folder = origin.parents[1] if spec.submodule_search_locations else origin.parent
    return [folder] if _is_local(origin) else []


@contextmanager
def isolated(code: UserCode) -> Iterator[Callable[[], list[str]]]:
    """Run user adapters from their source files alone; yield a function that returns local code files not listed.

    Inside the context, local modules are imported anew and compiled files (.pyc) ignored, since either may differ from
    the hashed files. Modules beside an adapter can be imported.
    """
    if not code.here:
        yield list
        return
    before = _local_modules_in_memory()
    path, prefix, writes = sys.path[:], sys.pycache_prefix, sys.dont_write_bytecode
    for name in before:
        del sys.modules[name]
    sys.path[:0] = list(dict.fromkeys(str(file.resolve().parent) for file in code.here))
    sys.pycache_prefix, sys.dont_write_bytecode = NO_CACHE, True
    importlib.invalidate_caches()
    listed = [*chain.from_iterable(code.modules.values()), *code.reads]
    with _opened_code() as opened:
        try:
            yield lambda: _beyond(opened, listed)
        finally:
            sys.path[:], sys.pycache_prefix, sys.dont_write_bytecode = path, prefix, writes
            for name in _local_modules_in_memory():
                del sys.modules[name]
            sys.modules.update(before)


@contextmanager
def _opened_code() -> Iterator[set[str]]:
    if not _hooks:
        sys.addaudithook(_note)
        _hooks.append("open")
    sink: set[str] = set()
    _sinks.append(sink)
    try:
        yield sink
    finally:
        _sinks.remove(sink)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _sinks and isinstance(arguments[0], str) and arguments[0].endswith(".py"):
        for sink in _sinks:
            sink.add(os.path.abspath(arguments[0]))


def _beyond(opened: Collection[str], listed: Collection[Path]) -> list[str]:
    loaded = {Path(place).resolve() for module in _local_modules_in_memory().values() for place in _places(module)}
    found = loaded | {Path(file).resolve() for file in list(opened)}
    strange = {path for path in found if path.is_file() and _is_local(path)}
    return sorted(str(path) for path in strange if not any(path.is_relative_to(known) for known in listed))


def _local_modules_in_memory() -> dict[str, ModuleType]:
    kept, installed = ("__main__", "__mp_main__"), _installed(tuple(sys.path))
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name not in kept and (places := _places(module)) and _outside(places[0], installed)
    }


def _places(module: ModuleType) -> list[str]:
    """Return the file of a module, or the folders of a namespace package."""
    if file := getattr(module, "__file__", None):
        return [str(file)]
    try:
        return [str(place) for place in getattr(module, "__path__", ())]
    except TypeError:
        return []


def _is_local(path: Path) -> bool:
    """Return whether a resolved path is outside of installed packages, the standard library and this package."""
    return _outside(str(path), _installed(tuple(sys.path)))


# Called for every loaded module, several times a run.
@cache
def _outside(place: str, folders: tuple[Path, ...]) -> bool:
    path = Path(place).resolve()
    return not any(path.is_relative_to(folder) for folder in folders)


@cache
def _installed(entries: tuple[str, ...]) -> tuple[Path, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(kind) for kind in kinds]
    site_packages = [entry for entry in entries if Path(entry).name in ("site-packages", "dist-packages")]
    specs = [importlib.util.find_spec(name) for name in ("bench", "bench.adapters", "bench.configs")]
    own = [Path(spec.origin).resolve().parent for spec in specs if spec is not None and spec.origin is not None]
    return (*own, *(Path(f).resolve() for f in (*folders, *site_packages, site.getusersitepackages())))
