"""Command line interface, the only package that prints. docs/commands.md lists the exit codes."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from bench.__version__ import __version__
from bench.cli.console import accept_every_character
from bench.errors import BenchError

# Module of this package → its commands, in the order of the help.
COMMANDS = {
    "run": ("run", "merge", "demo"),
    "score": ("score", "convert"),
    "predict": ("predict",),
    "inspect": ("show", "compare", "choose", "leaderboard", "report", "datasets", "doctor"),
    "ledger": ("ledger", "reproduce"),
    "suite": ("suite", "check"),
    "verify": ("verify",),
    "init": ("init",),
    "keys": ("keys",),
    "train": ("train",),
    "data": ("data",),
    "env": ("env",),
    "models": ("models",),
}

# Former names of options: the command in run.json of an older run is still valid, and `bench verify` prints it.
RENAMED = {"again": "overwrite", "no-again": "no-overwrite"}


def application(asked: str | None = None) -> Any:
    """Return the command line application with the module of command `asked` only, or with all if there is none.

    Importing every module takes as long as scoring a small data set.
    """
    app = typer.Typer(
        name="bench",
        help="Benchmark panoptic segmentation models: one evaluator, every framework, numbers that hold.",
        epilog="Options are also read from the environment: BENCH_<COMMAND>_<OPTION>, e.g. BENCH_RUN_DEVICE=cuda.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"token_normalize_func": lambda token: RENAMED.get(token, token)},
    )
    app.callback()(_options)
    alone = [module for module, commands in COMMANDS.items() if asked in commands]
    for module in alone or COMMANDS:
        import_module(f"bench.cli.{module}").register(app)
    command = typer.main.get_command(app)
    _name_variables(command, "BENCH")
    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"panoptic-bench {__version__}\n")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options of `bench` itself."""


def _name_variables(command: Any, prefix: str) -> None:
    """Name the environment variable of each option after its flag, and show it in the help only if it is shared."""
    for parameter in command.params:
        parameter.show_envvar = bool(parameter.envvar)
        # Click would derive names from the Python parameters, with the trailing underscores of `set_` and `format_`.
        if parameter.envvar is None and parameter.name != "version":
            flag = next((text for text in parameter.opts if text.startswith("--")), None)
            parameter.envvar = f"{prefix}_{flag[2:].replace('-', '_').upper()}" if flag else None
    for name, inner in getattr(command, "commands", {}).items():
        _name_variables(inner, f"{prefix}_{name.upper()}")


def main() -> None:
    """Run the `bench` command. Every failure prints one message and exits with a documented code."""
    accept_every_character()
    try:
        application(next(iter(sys.argv[1:]), None))()
    except SystemExit as leave:
        # Ctrl-C: typer exits without a message.
        if leave.code == 130:
            _fail("interrupted; finished images are kept, and the same command resumes, without --overwrite", 130)
        raise
    except Exception as error:
        if os.environ.get("BENCH_DEBUG"):
            raise
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Print the message of an error on stderr and return its exit code."""
    if isinstance(error, BenchError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _fail(f"{error.filename or 'writing'}: {error.strerror}; make room and repeat the command", 5)
    if isinstance(error, OSError) and error.filename:
        return _fail(f"{error.filename}: {error.strerror}; correct it or name another path", 2)
    return _fail(f"unexpected {type(error).__name__}: {error} (BENCH_DEBUG=1 shows where); please report it", 1)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"bench: {message}\n")
    return code
