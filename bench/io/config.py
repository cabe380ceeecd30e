"""YAML and JSON → frozen dataclasses, `--set` overrides, shipped configuration files."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import types
import typing
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from bench.errors import BenchError, DataError, UsageError, excerpt
from bench.io.files import read_bytes, read_json

T = TypeVar("T")
Unknown = Literal["error", "ignore"]  # keys that a dataclass does not have
# The largest YAML that ships has nine thousand bytes.
MAX_YAML = 1 << 18
# Above 2^53 a double does not hold each integer, and canonical JSON of a value would depend on its reader.
WHOLE_LIMIT = 1 << 53
# No file can have a name with these characters.
INVALID_CHARACTERS = re.compile(r"[\x00\ud800-\udfff]")

# Types of keys that name files. A value that the pattern matches is a path from the folder of its YAML file; any other
# value is a name. `load_yaml` makes the paths absolute; values of `--set` are not changed.
ConfigName = Annotated[str, re.compile(r"\.\.?(/|$)|.+\.ya?ml(:[^/]*)?$")]
AdapterName = Annotated[str, re.compile(r"\.\.?/|.+\.py:[^/]*$")]
NameOrPath = Annotated[str, re.compile(r"\.\.?(/|$)")]
FilePath = Annotated[str, re.compile("")]
Settings = Mapping[str, Annotated[Any, re.compile(r"\.\.?(/|$)")]]  # dotted keys of another YAML → values

KIND_NAMES = {"models": "model", "datasets": "dataset", "labels": "label space", "train": "recipe", "suites": "suite"}


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return a hint for an unknown name: the nearest known name, or all known names."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raise UsageError, naming the file, for anything else."""
    # Imported here, since scoring stored predictions needs no YAML, and PyYAML takes part of the start.
    from bench.io.yaml import NOT_YAML, parse_yaml

    try:
        data = parse_yaml(read_bytes(path, MAX_YAML).decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: cannot be read ({reason}); correct the file or name another") from None
    except NOT_YAML as error:
        raise UsageError(f"{path}: is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: must hold a mapping of keys, not {type(data).__name__}")
    return data


def load_yaml(path: Path, cls: type[T], overrides: Mapping[str, Any] | None = None) -> T:
    """Load a YAML file as the frozen dataclass `cls`; `overrides` are `{"path.to.key": value}`.

    Files that the YAML names are relative to its folder; those in `overrides` to the working directory.
    """
    data = _located(cls, read_yaml(path), path.parent)
    for dotted, value in (overrides or {}).items():
        _override(data, dotted, value)
    return from_dict(cls, data, str(path))


def _located(hint: Any, value: Any, folder: Path) -> Any:
    """Return a value of a YAML in `folder` with the files that it names as absolute paths. Types are not checked."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return beside(folder, value) if isinstance(value, str) and args[1].match(value) else value
    if origin in (types.UnionType, typing.Union):
        for choice in args:
            value = _located(choice, value, folder)
        return value
    if isinstance(value, list | tuple):
        return [_located(args[0], item, folder) for item in value] if args else value
    if isinstance(value, Mapping):
        hints = typing.get_type_hints(hint, include_extras=True) if dataclasses.is_dataclass(hint) else {}
        inner = args[1] if len(args) == 2 else None
        return {key: _located(hints.get(key, inner), item, folder) for key, item in value.items()}
    return _located(args[0], value, folder) if origin is tuple else value


def beside(folder: Path, name: str) -> str:
    """Return the absolute path of a file from a folder. Links are kept, since an environment's Python may be one."""
    return os.path.normpath(folder.resolve() / name)


def parse_overrides(pairs: Collection[str]) -> dict[str, Any]:
    """Parse `["fusion.score_threshold=0.5"]` to `{"fusion.score_threshold": 0.5}`; values are YAML."""
    from bench.io.yaml import NOT_YAML, parse_yaml

    parsed = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {pair}: write it as path.to.key=value")
        try:
            parsed[key] = parse_yaml(value)
        except NOT_YAML:
            raise UsageError(f"--set {pair}: {value!r} is not a YAML value; quote it") from None
    return parsed


def _override(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for key in parents:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {dotted}: {key!r} holds a value, not keys")
        data = inner
    data[last] = value


def read_record(path: Path, cls: type[T], remedy: str) -> T:
    """Read a JSON file as the dataclass `cls`, ignoring unknown keys. Raise DataError, which ends with the remedy."""
    found = read_json(path)
    # Before the missing keys: a file of another version lacks some, and its version is the reason.
    if (version := _version(cls)) and isinstance(found, Mapping) and found.get("format") != version:
        raise DataError(f"{path}: is not of this version (format {version}); {remedy}")
    try:
        return from_dict(cls, found, str(path), "ignore")
    except UsageError as error:
        raise DataError(f"{error}; {remedy}") from None


def _version(cls: type[Any]) -> Any:
    """Return the value of the key `format` in files of the record `cls`, or None if it has no such key."""
    hint = _fields(cls)[0].get("format")  # type: ignore[arg-type]
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Literal else None


def from_dict(cls: type[T], data: Any, where: str, unknown: Unknown = "error") -> T:
    """Build the dataclass `cls` from a mapping. Raise UsageError for unknown, missing and mistyped keys."""
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: expected keys, found {excerpt(data)}")
    hints, required = _fields(cls)  # type: ignore[arg-type]
    if unknown == "error" and (others := [key for key in data if key not in hints]):
        raise UsageError(f"{where}: unknown key {excerpt(others[0])}; {did_you_mean(str(others[0])[:80], hints)}")
    missing = [name for name in required if name not in data]
    if missing:
        names = " and ".join(map(repr, missing))
        raise UsageError(f"{where}: {f'the key {names} is' if len(missing) == 1 else f'the keys {names} are'} missing")
    values = {k: _convert(hints[k], value, f"{where}: {k}", unknown) for k, value in data.items() if k in hints}
    try:
        return cls(**values)
    except BenchError as error:
        # Dataclasses check their own values in __post_init__.
        raise UsageError(f"{where}: {error}") from None


@cache  # resolving the annotations takes longer than converting the values
def _fields(cls: type) -> tuple[dict[str, Any], list[str]]:
    """Return key → type of a dataclass, and the keys without a default."""
    hints, none = typing.get_type_hints(cls), dataclasses.MISSING
    fields = [field for field in dataclasses.fields(cls) if field.init]
    required = [field.name for field in fields if field.default is none and field.default_factory is none]
    return {field.name: hints[field.name] for field in fields}, required


def _convert(hint: Any, value: Any, where: str, unknown: Unknown) -> Any:
    if hint in (str, float, int, bool):
        return _scalar(hint, value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return _check_json_value(value, where)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(args, value, where, unknown)
    if origin is typing.Literal:
        if value not in args:
            raise UsageError(f"{where}: {excerpt(value)} is not one of {', '.join(map(str, args))}")
        return value
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where, unknown)  # type: ignore[arg-type]
    if origin is tuple:
        return _convert_tuple(args, value, where, unknown)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: expected keys, found {excerpt(value)}")
        return {_scalar(args[0], k, where): _convert(args[1], v, f"{where}.{k}", unknown) for k, v in value.items()}
    return _scalar(hint, value, where)


def _convert_union(args: tuple[Any, ...], value: Any, where: str, unknown: Unknown) -> Any:
    if value is None and type(None) in args:
        return None
    choices = [arg for arg in args if arg is not type(None)]
    # The message of the last alternative is shown, so that the more detailed type stands last in an annotation.
    for choice in choices[:-1]:
        try:
            return _convert(choice, value, where, unknown)
        except UsageError:
            continue
    return _convert(choices[-1], value, where, unknown)


def _convert_tuple(args: tuple[Any, ...], value: Any, where: str, unknown: Unknown) -> tuple[Any, ...]:
    if isinstance(value, str) and args == (str, ...):
        value = [value]
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where}: expected a list, found {excerpt(value)}")
    if args[-1] is Ellipsis:
        return tuple(_convert(args[0], item, f"{where}[{i}]", unknown) for i, item in enumerate(value))
    if len(args) != len(value):
        raise UsageError(f"{where}: expected {len(args)} values, found {len(value)}")
    return tuple(_convert(arg, item, where, unknown) for arg, item in zip(args, value, strict=True))


def _check_json_value(value: Any, where: str) -> Any:
    """Return the value of a field of type `Any`. Raise UsageError unless JSON can hold it, as its hash requires."""
    if isinstance(value, Mapping):
        return {_scalar(str, key, where): _check_json_value(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_check_json_value(item, f"{where}[{i}]") for i, item in enumerate(value)]
    kinds = [kind for kind in (bool, int, float, str) if isinstance(value, kind)]
    if value is not None and not kinds:
        raise UsageError(f"{where}: expected a number, a text, a list or keys, found {excerpt(value)}")
    return None if value is None else _scalar(kinds[0], value, where)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    # In Python True is an int; in a YAML file `batch: true` is a mistake.
    whole = isinstance(value, int) and not isinstance(value, bool)
    if (whole and abs(value) >= WHOLE_LIMIT) or (isinstance(value, float) and not math.isfinite(value)):
        raise UsageError(f"{where}: {excerpt(value)} is out of range; write a smaller number")
    # YAML writes 1 for 1.0; both must give one identity.
    if hint is float and whole:
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UsageError(f"{where}: expected {hint.__name__}, found {excerpt(value)}")
    if isinstance(value, str) and INVALID_CHARACTERS.search(value):
        raise UsageError(f"{where}: {excerpt(value)} holds a character that no file name can have; remove it")
    return value


def shipped_configs(kind: str) -> dict[str, Path]:
    """Return name → file of the shipped YAML files of a kind (a key of KIND_NAMES)."""
    folder = Path(str(files("bench.configs"))) / kind
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_config(kind: str, name: str) -> Path:
    """Return the YAML file for `name`: a path if it ends in .yaml or .yml, else a shipped file of that name."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name.endswith(".py"):
        raise UsageError(f"{name}: name the YAML that has it as `adapter:`; `bench init model` writes one")
    known = shipped_configs(kind)
    if name not in known:
        raise UsageError(f"there is no {KIND_NAMES[kind]} {name!r}; {did_you_mean(name, known)}")
    return known[name]
