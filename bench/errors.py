"""Exceptions of the public API, with their exit codes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


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
        if str(where) in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error.__cause__


def require_packages(owner: str, packages_by_extra: Mapping[str, tuple[str, ...]]) -> None:
    """Raise ModelError, naming the extra to install, if a package is missing. Imports none of them."""
    for extra, packages in packages_by_extra.items():
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if absent:
            raise ModelError(f"{owner} needs {' and '.join(absent)}; pip install 'panoptic-bench[{extra}]'")


def describe_error(error: BaseException) -> str:
    """Return the exception type and the first line of its message, cut to 200 characters."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
