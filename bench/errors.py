"""Exceptions of the public API, with their exit codes."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class BenchError(Exception):
    """Base class of all expected errors. The command line prints the message without a traceback.

    A message names the file or image and the remedy.
    """

    exit_code = 1


class UsageError(BenchError):
    """Invalid name, option or configuration."""

    exit_code = 2


class DataError(BenchError):
    """Missing, invalid or inconsistent data."""

    exit_code = 3


class ModelError(BenchError):
    """Missing or invalid checkpoint, or a model that failed."""

    exit_code = 4


class PartialRun(BenchError):
    """Incomplete run: stopped early, not merged yet, or in use by another process.

    Finished images are kept, and the same command resumes the run.
    """

    exit_code = 5


class NotComparable(BenchError):
    """Runs that cannot be compared: different ground truth or scoring rules, or a run missing from the baseline."""

    exit_code = 6


@contextmanager
def error_context(where: object) -> Iterator[None]:
    """Prefix the message of a BenchError raised inside with `where`, unless the message contains it already."""
    try:
        yield
    except BenchError as error:
        # Callers nest: an inner one may have named the same file.
        if str(where) in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error.__cause__


def require_packages(owner: str, packages_by_extra: Mapping[str, tuple[str, ...]]) -> None:
    """Raise ModelError, naming the extra to install, if a package is missing. Imports none of them."""
    for extra, packages in packages_by_extra.items():
        # find_spec imports nothing: importing torch to see whether it is there takes seconds.
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if absent:
            raise ModelError(f"{owner} needs {' and '.join(absent)}; pip install 'panoptic-bench[{extra}]'")


def describe_error(error: BaseException) -> str:
    """Return the message of a BenchError; of others the type and the first line, cut to 200 characters."""
    if isinstance(error, BenchError):
        return str(error)
    kind, line = type(error).__name__, first_line(error)
    return line if line == kind else f"{kind}: {line}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut to 200 characters, or its type if there is no message."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def first_duplicate(names: Iterable[T]) -> T | None:
    """Return the first name that repeats an earlier one, or None."""
    seen: set[T] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def excerpt(value: object) -> str:
    """Return the first characters of a value, for messages."""
    return repr(value)[:80]


def px_text(size: tuple[int, int]) -> str:
    """Return (height, width) as text, such as "1024 x 2048"."""
    return f"{size[0]} x {size[1]}"
