"""Commands `bench init model` and `bench init dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import print_text

File = Annotated[Path, typer.Argument(help="The YAML file to write.")]


def register(app: typer.Typer) -> None:
    init = typer.Typer(no_args_is_help=True, help="Write a commented template for a model or a data set.")
    init.command("model")(model_command)
    init.command("dataset")(dataset_command)
    app.add_typer(init, name="init")


def model_command(path: File = Path("model.yaml")) -> None:
    """Write the YAML of a model and its adapter in Python."""
    adapter = path.with_suffix(".py")
    _write({path: _start("model.yaml").replace("ADAPTER", adapter.name), adapter: _start("model.py.txt")})
    print_text(f"{path}\n{adapter}\nCheck it: bench models check {path}")


def dataset_command(path: File = Path("data.yaml")) -> None:
    """Write the YAML of a data set, with example pictures."""
    from bench.datasets.example import write_example

    folder = path.parent / "example"
    _refuse(folder)
    _write({path: _start("data.yaml")})
    write_example(folder)
    print_text(f"{path}\n{folder}\nCheck it: bench data check {path}")


def _start(name: str) -> str:
    from importlib.resources import files

    return (files("bench.configs") / "start" / name).read_text(encoding="utf-8")


def _refuse(path: Path) -> None:
    """Raise UsageError if a file or folder exists."""
    from bench.errors import UsageError

    if path.exists():
        raise UsageError(f"{path}: exists and is not overwritten; name another file")


def _write(texts: dict[Path, str]) -> None:
    # All paths are checked before the first is written, so that a refusal leaves nothing behind.
    for path in texts:
        _refuse(path)
        if path.suffix not in (".yaml", ".yml", ".py"):
            from bench.errors import UsageError

            raise UsageError(f"{path}: name a file that ends in .yaml")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
