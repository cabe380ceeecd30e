"""Commands `bench run`, `merge` and `demo`."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import render
from bench.cli.console import print_status
from bench.cli.progress import progress, run_progress
from bench.parallel import WORKERS

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset
    from bench.models.spec import ModelSpec
    from bench.results.run import Run


def _batch_size(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither a number of images nor 'auto'")
    return int(text)


def _limit_pixels(context: typer.Context, pixels: int | None) -> int | None:
    """Apply --max-pixels while the command runs."""
    if pixels is not None:
        from bench.io.images import pixel_limit

        context.with_resource(pixel_limit(pixels))
    return pixels


Out = Annotated[Path, typer.Option(help="Where results go.", envvar="BENCH_OUT")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Root = Annotated[Path | None, typer.Option(help="Folder of the data set.", envvar="BENCH_DATA_ROOT")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N images.")]
Images = Annotated[Path | None, typer.Option(help="File with the image ids to use, one per line.")]
MaxPixels = Annotated[
    int | None,
    typer.Option(min=1, help="Largest image or map.", envvar="BENCH_MAX_PIXELS", callback=_limit_pixels),
]
Corrupt = Annotated[str | None, typer.Option(help="Corrupt the pictures, NAME:STRENGTH, e.g. fog:3.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that decode, preprocess and score; one a core, at most 16.")]
Metric = Annotated[
    Literal["boundary"] | None, typer.Option("--metrics", help="Also compute this metric, which takes longer.")
]
Part = Annotated[str, typer.Option(help="Only part I of N, as I/N (0/N is the first); `bench merge` joins them.")]
Device = Annotated[str, typer.Option(help="auto (the accelerator that is there), cpu, cuda, cuda:N, mps or xpu.")]
Postprocess = Annotated[
    Literal["auto", "cpu", "device"], typer.Option(help="Where logits of queries become segments (auto: the device).")
]
BATCH_SIZE = "Images per forward pass; auto is the largest that fits on the device, and 1 on the CPU."
Precision = Annotated[Literal["fp32", "bf16", "fp16"], typer.Option(help="Floating point type of the network.")]
ModelKeys = Annotated[list[str] | None, typer.Option("--set", help="path.to.key=value in the model's YAML.")]
Overwrite = Annotated[bool, typer.Option(help="Compute a finished run again and replace it.")]
ProtocolName = Annotated[
    Literal["coco", "strict"], typer.Option(help="coco: as in panopticapi; strict: counted areas, all crowds.")
]


def register(app: typer.Typer) -> None:
    app.command("run")(run_command)
    app.command("merge")(merge_command)
    app.command("demo")(demo_command)


def run_command(
    model: Annotated[str, typer.Option(help="Model (bench models), family/checkpoint, YAML file or trained folder.")],
    dataset: Annotated[str, typer.Option(help="Data set (bench datasets), with :split, or a YAML file.")],
    checkpoint: Annotated[str | None, typer.Option(help="Checkpoint name, or a folder in hub format.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run (default: the model's).")] = None,
    data_root: Root = None,
    limit: Limit = None,
    images: Images = None,
    corrupt: Corrupt = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the network by torch.compile.")] = False,
    batch_size: Annotated[Any, typer.Option(parser=_batch_size, metavar="N|auto", help=BATCH_SIZE)] = "1",
    postprocess: Postprocess = "auto",
    workers: Workers = WORKERS,
    max_pixels: MaxPixels = None,
    out: Out = Path("results"),
    set_: ModelKeys = None,
    label_map: Annotated[str | None, typer.Option(help="Map from the model's classes to the data set's.")] = None,
    protocol: ProtocolName = "coco",
    save_predictions: Annotated[bool, typer.Option(help="Keep panoptic PNGs beside the results.")] = True,
    timing: Annotated[bool, typer.Option(help="Also measure latency, images/s, peak memory and energy.")] = False,
    metrics: Metric = None,
    semantic: Annotated[bool, typer.Option("--semantic/--no-semantic", help="Compute semantic maps and mIoU.")] = True,
    shard: Part = "0/1",
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Run a model on a data set and score it. An interrupted run resumes, a finished one is shown."""
    from bench.io.config import parse_overrides
    from bench.models.resolve import resolve_model
    from bench.results.shards import parse_shard

    part = parse_shard(shard)
    data = open_data(dataset, data_root, limit, images).corrupted(corrupt)
    overrides = {**parse_overrides(set_ or []), **({} if postprocess == "auto" else {"postprocess": postprocess})}
    spec = resolve_model(
        model, data.name, base=data.base, space=data.space, checkpoint=checkpoint, precision=precision,
        overrides=overrides,
    )  # fmt: skip
    spec = replace(spec, compile=compile_)
    # After the settings are checked: this import loads torch, and a wrong option should fail at once.
    from bench.evaluation.run import run

    for note in data.pictures.notes():
        print_status(note)
    with run_progress(f"{spec.name} on {data.name}:{data.split}") as (on_file, on_image):
        done = run(
            spec, data, out, name=name, device=device, batch_size=batch_size, workers=workers, protocol=protocol,
            overwrite=overwrite, save_predictions=save_predictions, label_map=label_map,
            metrics=[metrics] if metrics else [], semantic=semantic, shard=part, command=["bench", *sys.argv[1:]],
            on_image=on_image, on_file=on_file,
        )  # fmt: skip
    print_origin(done, save_predictions)
    if timing:
        _time(replace(spec, semantic=semantic), data, done, device)
    render.render_run_or_shard(done, part, json_)
    render.print_missing(data)


def print_origin(run: Run, save_predictions: bool) -> None:
    """Print on stderr that a finished run is shown again, that it lacks predictions, or why it is never reused."""
    # Without a line on stderr an old number would look like a new one.
    if run.reused:
        finished = datetime.fromisoformat(run.complete.finished).astimezone()
        today = finished.date() == datetime.now().astimezone().date()
        when = f"{finished:%H:%M}" if today else f"{finished:%Y-%m-%d %H:%M}"
        print_status(f"finished {when}, shown again; --overwrite computes it again")
    if save_predictions and run.done is not None and not (run.folder / "predictions" / "predictions.json").is_file():
        print_status(f"{run.folder}: not all predictions were kept; --overwrite computes the run again and keeps them")
    print_unlisted_code(run)


def print_unlisted_code(run: Run) -> None:
    """Print on stderr that a run is computed again each time, and why, if it ran code outside its digest."""
    if names := run.meta.unlisted_modules:
        print_status(
            f"the adapter ran local code that its imports do not name ({', '.join(names[:3])}); changes there are not "
            "detected, so that the run is computed again each time; list the files under `reads:` in the model's YAML"
        )


def _time(spec: ModelSpec, data: Dataset, run: Run, device: str) -> None:
    """Measure time, memory and energy into the run's folder and print the path on stderr."""
    from bench.evaluation.timing import time_run

    with progress(f"timing {spec.name}") as on_image:
        path = time_run(
            spec, data, run.folder, batch_size=run.meta.batch_size or 1, device=device, on_image=on_image
        )  # fmt: skip
    print_status(f"timing: {path}")


def merge_command(
    folders: Annotated[list[Path], typer.Argument(help="Folder of the run, or the folders of its shards.")],
    json_: Json = False,
) -> None:
    """Merge the shards of a run, made by run or score with --shard. Several folders are merged into the first."""
    from bench.results.merge import merge

    render.render_run(merge(folders), json_)


def open_data(dataset: str, root: Path | None, limit: int | None, images: Path | None) -> Dataset:
    """Load a data set, generated first if it is an embedded one."""
    from bench.datasets.registry import load_dataset

    with progress(f"making {dataset}", announced=True) as on_image:
        data = load_dataset(dataset, root, on_image)
    return select(data, limit, images)


def select(data: Dataset, limit: int | None, images: Path | None) -> Dataset:
    from bench.errors import UsageError
    from bench.io import files

    if images is not None:
        try:
            # utf-8-sig: editors on Windows begin a file with a byte order mark.
            lines = files.read_bytes(images).decode("utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--images {images}: cannot be read ({error})") from None
        wanted = [line.strip() for line in lines if line.strip()]
        if not wanted:
            raise UsageError(f"--images {images}: has no image id; write one per line")
        data = data.only(wanted)
    return data.limited(limit)


def demo_command(
    out: Out = Path("results/local"),
    dataset: Annotated[str, typer.Option(help="Data set and split to show it on.")] = "minicity:demo",
    limit: Limit = None,
) -> None:
    """Run a small demo. Scores and ranks the models with shipped weights and a damaged ground truth."""
    from bench.evaluation.damage import damage_dataset
    from bench.evaluation.run import run
    from bench.evaluation.score import score
    from bench.models.resolve import shipped_models

    data = select(open_data(dataset, None, None, None), limit, None)
    runs = []
    for spec in shipped_models(data.name):
        with run_progress(spec.name) as (on_file, on_image):
            runs.append(run(spec, data, out, command=["bench", *sys.argv[1:]], on_image=on_image, on_file=on_file))
    with progress("damaging the truth") as on_image:
        made = damage_dataset(data, out / "damaged-truth", on_image=on_image)
    with progress("scoring the damaged truth") as on_image:
        runs.append(score(made, data, out, on_image=on_image))
    print_status(f"results: {out}")
    render.render_demo(runs, data, out)
