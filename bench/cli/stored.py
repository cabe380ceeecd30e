"""Options of the commands that read stored runs: which run, and the ground truth that it was scored on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.run import open_data

if TYPE_CHECKING:
    from bench.datasets.dataset import Dataset
    from bench.results.run import Run

Results = Annotated[Path, typer.Option(help="Folder of the runs.", envvar="BENCH_OUT")]
RunName = Annotated[str, typer.Argument(help="Folder, name or hash of a run, or the beginning of one.")]
RunNames = Annotated[list[str], typer.Argument(help="Runs on the same ground truth: folders, names or hashes.")]
DatasetName = Annotated[str | None, typer.Option(help="Data set of the run (default: as it was scored).")]
Gt = Annotated[Path | None, typer.Option(help="Ground truth as COCO panoptic JSON, in place of a data set.")]
GtDir = Annotated[Path | None, typer.Option(help="Folder of its PNGs (default: the JSON without .json).")]


def open_truth(
    run: Run, dataset: str | None, gt: Path | None, gt_dir: Path | None, root: Path | None, pictures: Path | None = None
) -> Dataset:
    """Return the data set given by the options, else the one that the run was scored on. Raises UsageError if unknown.

    `pictures` is the folder of the images of a COCO panoptic file.
    """
    from bench.datasets.registry import load_coco_files
    from bench.errors import UsageError
    from bench.io.config import shipped_configs

    # run.json records the options that opened the data set, so that the user need not repeat them.
    recorded = {} if dataset or gt else run.meta.origin
    if gt or "gt" in recorded:
        file, folder = (gt, gt_dir) if gt else (Path(recorded["gt"]), Path(recorded["gt_dir"]))
        return load_coco_files(file, folder or file.with_suffix(""), pictures)
    name, corruption = run.meta.dataset.name, run.meta.dataset.corruption
    usual = f"{name}:{run.meta.dataset.split}" if name in shipped_configs("datasets") else None
    asked = dataset or recorded.get("dataset") or usual
    if asked is None:
        raise UsageError(
            f"the run was scored on {run.dataset}, which is not a shipped data set; give --dataset or --gt"
        )
    # Of another machine the recorded folder may be missing here; the usual places are tried then.
    remembered = Path(recorded["data_root"]) if "data_root" in recorded else None
    data = open_data(asked, root or (remembered if remembered and remembered.is_dir() else None), None, None)
    return data.corrupted(None if corruption is None else str(corruption))
