"""The exceptions that a user can meet, with their exit codes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class BenchError(Exception):
    """One message that names the file, the image and the remedy; shown without a traceback."""

    exit_code = 1


class UsageError(BenchError):
    """A wrong name, option or configuration."""

    exit_code = 2


class DataError(BenchError):
    """Data that is missing, broken or does not fit together."""

    exit_code = 3


class ModelError(BenchError):
    """A checkpoint that is missing or broken, or a model that failed."""

    exit_code = 4


class PartialRun(BenchError):
    """A run that stopped early; its results so far are kept and the same command resumes it."""

    exit_code = 5


class NotComparable(BenchError):
    """Runs that were not scored on the same ground truth by the same rules."""

    exit_code = 6


@contextmanager
def error_context(where: object) -> Iterator[None]:
    """A BenchError from inside says where, if it does not say so already."""
    try:
        yield
    except BenchError as error:
        if str(where) in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error.__cause__


def require_packages(owner: str, packages_by_extra: Mapping[str, tuple[str, ...]]) -> None:
    """`packages_by_extra` are extra → packages; a ModelError names what is not installed. Imports nothing."""
    for extra, packages in packages_by_extra.items():
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if absent:
            raise ModelError(f"{owner} needs {' and '.join(absent)}; pip install 'panoptic-bench[{extra}]'")


def describe_error(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
