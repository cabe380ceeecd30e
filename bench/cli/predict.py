"""Command `bench predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.console import print_json, print_status, print_table
from bench.cli.progress import progress
from bench.cli.run import Corrupt, Device, Json, MaxPixels, ModelKeys, Precision


def register(app: typer.Typer) -> None:
    app.command("predict")(predict_command)


def predict_command(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    model: Annotated[str, typer.Option(help="Model (bench models), family/checkpoint, or a YAML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and predictions.")],
    checkpoint: Annotated[str | None, typer.Option(help="Checkpoint name, or a folder in hub format.")] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    set_: ModelKeys = None,
    corrupt: Corrupt = None,
    max_pixels: MaxPixels = None,
    json_: Json = False,
) -> None:
    """Segment unlabelled images. Writes a picture of each, and COCO panoptic files."""
    from bench.datasets.corruptions import parse_corruption
    from bench.evaluation.predict import image_files, left_out, predict
    from bench.io.config import parse_overrides
    from bench.io.pictures import Pictures
    from bench.models.loading import load_model
    from bench.models.resolve import IMAGES_ALONE, resolve_model

    corruption = None if corrupt is None else parse_corruption(corrupt)
    files = image_files(images)
    if skipped := left_out(images, files):
        print_status(skipped)
    overrides = parse_overrides(set_ or [])
    spec = resolve_model(model, IMAGES_ALONE, checkpoint=checkpoint, precision=precision, overrides=overrides)
    for note in Pictures(files).notes():
        print_status(note)
    with progress(spec.name) as on_image:
        made = predict(load_model(spec, device), files, out, f"{spec.name} {spec.checkpoint}", on_image, corruption)
    print_json(made) if json_ else _show(made)


def _show(made: list[dict[str, Any]]) -> None:
    rows = [[one["image"], str(len(one["segments"])), one["picture"]] for one in made]
    print_table("", ["image", "segments", "picture"], rows)
