"""Command `bench train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.console import print_text
from bench.cli.progress import training_progress
from bench.cli.run import open_data


def register(app: typer.Typer) -> None:
    app.command("train")(train_command)


def train_command(
    recipe: Annotated[str, typer.Argument(help="A recipe: a YAML file, or the name of a shipped one.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, log and the finished weights.")],
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Root of the data set.", envvar="BENCH_DATA_ROOT")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path.to.key=value in the recipe.")] = None,
) -> None:
    """Train a model from a recipe. Prints the folder for --checkpoint; resumes a training found in --out."""
    from bench.io.config import find_config, load_yaml, parse_overrides
    from bench.training.recipe import Recipe

    chosen = load_yaml(find_config("train", recipe), Recipe, parse_overrides(set_ or []))
    open_data(chosen.dataset, data_root, None, None)  # an embedded data set is made here, with a bar
    from bench.training.train import train

    with training_progress() as (on_step, says):
        print_text(str(train(chosen, out, on_step, data_root, says)))
