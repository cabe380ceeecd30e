"""Commands `bench score` and `convert`, for predictions made elsewhere."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import render
from bench.cli.console import print_json, print_status, print_text
from bench.cli.progress import progress, run_progress
from bench.cli.run import (
    Images,
    Json,
    Limit,
    MaxPixels,
    Metric,
    Overwrite,
    Part,
    ProtocolName,
    Root,
    Workers,
    open_data,
    print_origin,
    select,
)
from bench.cli.stored import Gt, GtDir
from bench.parallel import WORKERS

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset
    from bench.forms.classes import Options
    from bench.forms.opening import Opened
    from bench.results.predictions import PredictionFolder
    from bench.results.shards import Shard

Data = Annotated[str | None, typer.Option(help="Data set of the predictions.")]
FormName = Annotated[
    Literal["auto", "coco", "cityscapes", "ids", "mmdetection", "semantic"],
    typer.Option("--format", help="Form of the predictions (docs/predictions.md)."),
]
IdsName = Annotated[
    Literal["dataset", "contiguous", "train-ids", "separated"] | None,
    typer.Option(help="Meaning of category ids: the data set's, or positions in its categories."),
]
Divisor = Annotated[int, typer.Option(min=2, help="Divisor of category and instance in one number.")]
Void = Annotated[list[int] | None, typer.Option(help="Value of void in the maps; may be repeated.")]
LabelMapName = Annotated[str | None, typer.Option(help="Map from the predictions' classes to the data set's.")]
KeepName = Annotated[
    Literal["copy", "link", "reference", "none"],
    typer.Option(help="How --out keeps COCO panoptic predictions."),
]
MatchName = Annotated[Literal["id", "stem"], typer.Option(help="Find predictions by image id, or by file name.")]


def register(app: typer.Typer) -> None:
    app.command("score")(score_command)
    app.command("convert")(convert_command)


def score_command(
    dataset: Data = None,
    predictions: Annotated[Path | None, typer.Option(help="Folder or JSON of predictions, in any form.")] = None,
    gt: Gt = None,
    gt_dir: GtDir = None,
    pred: Annotated[Path | None, typer.Option(help="Predictions, COCO panoptic JSON.")] = None,
    pred_dir: Annotated[
        Path | None, typer.Option(help="Folder of their PNGs (default: the JSON without .json).")
    ] = None,
    format_: FormName = "auto",
    ids: IdsName = None,
    label_map: LabelMapName = None,
    divisor: Divisor = 1000,
    void: Void = None,
    match: MatchName = "id",
    name: Annotated[str | None, typer.Option(help="Name of the predictions in the results.")] = None,
    data_root: Root = None,
    limit: Limit = None,
    images: Images = None,
    workers: Workers = WORKERS,
    max_pixels: MaxPixels = None,
    protocol: ProtocolName = "coco",
    out: Annotated[Path | None, typer.Option(help="Keep the score as a run below this folder.")] = None,
    keep_predictions: KeepName = "copy",
    metrics: Metric = None,
    shard: Part = "0/1",
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Score predictions made elsewhere. docs/predictions.md lists the forms; the truth is a data set or a COCO file."""
    from bench.evaluation.score import score
    from bench.forms.classes import Options

    part, made = _part(shard, out), _made(predictions, pred, pred_dir)
    truth = select(_truth(dataset, gt, gt_dir, data_root), limit, images)
    options = Options(format_, ids, divisor, tuple(void or ()), label_map, match)
    opened, keep = _opened(made, truth, options), "none" if out is None else keep_predictions
    # Without --out the run is scored in a temporary folder, so that there is one way to a score.
    with tempfile.TemporaryDirectory() as scratch, run_progress("scoring") as (on_file, on_image):
        done = score(
            opened.predictions, opened.dataset, out or Path(scratch), name=name, form=opened.options, workers=workers,
            protocol=protocol, overwrite=overwrite, keep_predictions=keep,
            metrics=[metrics] if metrics else [], shard=part, command=["bench", *sys.argv[1:]], on_image=on_image,
            on_file=on_file, on_notice=print_status, identified=out is not None,
        )  # fmt: skip
        print_origin(done, save_predictions=keep != "none")
    if done.done is None:
        render.render_run_or_shard(done, part, json_)
    else:
        render.render_score(done, done.score, json_)
    render.print_missing(truth)


def convert_command(
    predictions: Annotated[Path, typer.Argument(help="Folder or JSON of predictions, in any form.")],
    out: Annotated[Path, typer.Argument(help="New folder for the COCO panoptic files.")],
    dataset: Data = None,
    gt: Gt = None,
    gt_dir: GtDir = None,
    format_: FormName = "auto",
    ids: IdsName = None,
    label_map: LabelMapName = None,
    divisor: Divisor = 1000,
    void: Void = None,
    match: MatchName = "id",
    to: Annotated[
        Literal["coco", "coco-server", "cityscapes-server"],
        typer.Option(help="Write the names and the zip of this server."),
    ] = "coco",
    name: Annotated[str, typer.Option(help="Name of the method, in the file names of COCO's server.")] = "method",
    split: Annotated[str | None, typer.Option(help="Split in the file names (default: the data set's).")] = None,
    data_root: Root = None,
    limit: Limit = None,
    images: Images = None,
    workers: Workers = WORKERS,
    max_pixels: MaxPixels = None,
    json_: Json = False,
) -> None:
    """Convert predictions to COCO panoptic files. The images are those of a data set or a COCO JSON, sizes included."""
    from bench.forms.classes import Options
    from bench.forms.convert import convert, open_image_list

    truth = open_image_list(gt) if gt is not None and dataset is None else None
    truth = select(truth or _truth(dataset, gt, gt_dir, data_root), limit, images)
    opened = _opened(predictions, truth, Options(format_, ids, divisor, tuple(void or ()), label_map, match))
    with progress("converting") as on_image:
        done = convert(opened, out, to, name=name, split=split, workers=workers, on_image=on_image)
    if json_:
        print_json(done.to_json())
    else:
        print_text(f"{done.images} images, {done.segments} segments: {done.zip or done.json}")


def _opened(made: PredictionFolder | Path, truth: Dataset, options: Options) -> Opened:
    """Open the predictions; print on stderr which form they have, unless it is COCO's, and why there is no PQ."""
    from bench.forms.opening import FORMS, open_matched

    opened = open_matched(made, truth, options)
    form = opened.predictions.form
    if form != "coco":
        print_status(f"read as {form}: {FORMS[form]}")
    if form == "semantic" and "panoptic" in truth.carries:
        print_status("the predictions are semantic labels, without instances: there is mIoU, but no PQ")
    return opened


def _part(shard: str, out: Path | None) -> Shard:
    """Parse --shard. Raises UsageError if a shard has no --out."""
    from bench.errors import UsageError
    from bench.results.shards import WHOLE, parse_shard

    part = parse_shard(shard)
    if part != WHOLE and out is None:
        raise UsageError("--shard: the part must be kept for `bench merge`; give --out")
    return part


def _truth(dataset: str | None, gt: Path | None, gt_dir: Path | None, root: Path | None) -> Dataset:
    """Open the data set or the COCO files. Raises UsageError unless exactly one is named."""
    from bench.datasets.registry import load_coco_files
    from bench.errors import UsageError

    if dataset is not None and gt is None:
        return open_data(dataset, root, None, None)
    if gt is None or dataset is not None:
        raise UsageError("give the ground truth either by --dataset or by --gt with --gt-dir")
    return load_coco_files(gt, gt_dir or _folder_of(gt, "--gt-dir"))


def _made(predictions: Path | None, pred: Path | None, pred_dir: Path | None) -> PredictionFolder | Path:
    from bench.errors import UsageError
    from bench.results.predictions import open_coco_predictions

    if predictions is not None and pred is None:
        return predictions
    if pred is None or predictions is not None:
        raise UsageError("give the predictions either by --predictions or by --gt with --pred")
    return open_coco_predictions(pred, pred_dir or _folder_of(pred, "--pred-dir"), pred.stem)


def _folder_of(file: Path, option: str) -> Path:
    """Return the folder of the PNGs that a COCO panoptic JSON has by default. Raises DataError if there is none."""
    from bench.errors import DataError

    if file.is_file() and not file.with_suffix("").is_dir():
        raise DataError(f"{file.with_suffix('')}: there is no such folder of PNGs; give it by {option}")
    return file.with_suffix("")
