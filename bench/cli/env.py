"""Commands `bench env create`, `list` and `check`."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.console import print_json, print_status, print_table, print_text
from bench.cli.run import Json

Name = Annotated[str, typer.Argument(help="Name (bench env list), or a requirements file ending in .txt.")]


def register(app: typer.Typer) -> None:
    env = typer.Typer(no_args_is_help=True, help="Separate environments for frameworks with conflicting packages.")
    env.command("create")(create_command)
    env.command("list")(list_command)
    env.command("check")(check_command)
    app.add_typer(env, name="env")


def create_command(
    name: Name,
    python: Annotated[str | None, typer.Option(help="Python interpreter for it (default: this one).")] = None,
) -> None:
    """Create an environment. Frameworks take minutes and gigabytes; a ready environment is left unchanged."""
    from bench.models.environments import create_env, read_env

    folder = create_env(read_env(name), python, print_status)
    print_text(str(folder))


def list_command(json_: Json = False) -> None:
    """List the environments. Each is ready, outdated or missing."""
    from bench.models.environments import env_files, environment_status, envs_folder, read_env

    found = {
        name: {"state": environment_status(read_env(name)), "folder": str(envs_folder() / name)} for name in env_files()
    }
    if json_:
        print_json(found)
        return
    print_table("", ["environment", "state", "folder"], [[n, e["state"], e["folder"]] for n, e in found.items()])


def check_command(name: Name, json_: Json = False) -> None:
    """Import the framework in its environment. Prints the versions."""
    from bench.models.environments import check_env, read_env

    versions = check_env(read_env(name))
    print_json(versions) if json_ else print_table("", ["module", "version"], [[*pair] for pair in versions.items()])
