"""The command line; the only package that prints. Exit codes stand in the README."""

from __future__ import annotations

import errno
import os
import sys

import typer

from bench.cli import check, data, env, inspect, models, predict, run, suite, train, verify
from bench.errors import BenchError

app = typer.Typer(
    name="bench",
    help="Benchmark panoptic segmentation models: one evaluator, every framework, numbers that hold.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
check.register(data.app)
models.register()
app.add_typer(data.app, name="data")
app.add_typer(env.app, name="env")
app.add_typer(models.app, name="models")
for module in (run, predict, inspect, suite, verify, train):
    module.register(app)


def main() -> None:
    """Entry point of `bench`: every failure is one message and a documented exit code."""
    try:
        app(auto_envvar_prefix="BENCH")
    except SystemExit as leave:
        if leave.code == 130:  # Ctrl-C; typer turns it into an exit without a word
            _fail("interrupted; what was scored is kept, the same command resumes", 130)
        raise
    except Exception as error:
        if os.environ.get("BENCH_DEBUG"):
            raise
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """The message of an error on stderr, and its exit code."""
    if isinstance(error, BenchError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _fail(f"{error.filename or 'writing'}: {error.strerror}; make room and repeat the command", 5)
    if isinstance(error, OSError) and error.filename:
        return _fail(f"{error.filename}: {error.strerror}; mend it or name another path", 2)
    return _fail(f"unexpected {type(error).__name__}: {error} (BENCH_DEBUG=1 shows where); please report it", 1)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"bench: {message}\n")
    return code
