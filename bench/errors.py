"""What a user can meet: one clear message and the exit code that the command line documents."""

from collections.abc import Iterator
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
def naming(where: object) -> Iterator[None]:
    """A BenchError from inside says where, if it does not say so already."""
    try:
        yield
    except BenchError as error:
        if str(where) in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error.__cause__
