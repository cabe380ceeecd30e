"""The doors through which files enter the tool, each with sound files and with all that reads them."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from sound import (
    MADE,
    Files,
    city_configs,
    cityscapes,
    cityscapes_converted,
    coco_tree,
    coco_zips,
    forms,
    ika,
    label_files,
    model_file,
    model_run,
    pair,
    recipe,
    write,
)

import bench
from bench.analysis.ranking import leaderboard
from bench.analysis.reference import verify_reference
from bench.analysis.verify import verify
from bench.cli import main
from bench.datasets.check.check import check_dataset, check_files
from bench.datasets.label_map_files import load_map
from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_coco_files, load_dataset
from bench.datasets.statistics import dataset_stats
from bench.errors import BenchError, error_context
from bench.forms.classes import Options
from bench.forms.opening import open_matched
from bench.io.canonical_json import digest
from bench.io.config import load_yaml
from bench.metrics.score import score
from bench.models.resolve import resolve_model
from bench.models.weights import check_available
from bench.reports.leaderboard import to_csv, to_json, to_markdown, to_tables
from bench.reports.pictures.overlays import overlays
from bench.reports.tables import class_table, headline, semantic_table
from bench.results.predictions import open_coco_predictions, open_predictions, saved_predictions
from bench.results.run import read_run, read_runs
from bench.training.recipe import Recipe


@dataclass(frozen=True)
class Door:
    """`files` are sound; `enter(root)` reads all of them. `spoil` chooses those worth spoiling."""

    name: str
    files: Callable[[], Files]
    enter: Callable[[Path], object]
    spoil: tuple[str, ...] = ("",)  # beginnings of names
    share: int = 10  # of the files; a slow door gets few

    def chosen(self) -> list[str]:
        return [name for name in self.files() if name.startswith(self.spoil)]


def score_pair(root: Path) -> object:
    truth = load_coco_files(root / "gt.json", root / "gt")
    made = open_coco_predictions(root / "pred.json", root / "pred", "pred")
    run = bench.score(made, truth, root / "out", name="mine", overwrite=True)
    return json.dumps(run.score.to_json(), allow_nan=False)


def read_forms(root: Path) -> None:
    """Every image of a prediction in other forms than COCO's."""
    truth = load_coco_files(root / "gt.json", root / "gt")
    options = {"png": Options("ids"), "labels": Options("semantic", void=(0,))}
    for name in ("npz", "npy", "png", "labels"):
        opened = open_matched(root / name, truth, options.get(name, Options()))
        for sample in opened.dataset.samples:
            opened.predictions.read(sample.image_id, truth.categories)


def check_pair(root: Path) -> object:
    return json.dumps(check_files(root / "gt.json", root / "gt").to_json(), allow_nan=False).encode()


def read_all(name: str, root: Path) -> None:
    """Every picture and every truth of a data set, and their statistics."""
    data = load_dataset(name, root)
    for sample in data.samples:
        sample.read_image()
        sample.read_semantic() if sample.read_semantic else sample.read_target()
    json.dumps(dataset_stats(data, workers=1).to_json(), allow_nan=False).encode()
    digest([data.categories.items, data.void, data.space])


def read_tiny(root: Path) -> None:
    read_all(str(root / "tiny.yaml"), root)


def check_tiny(root: Path) -> object:
    return json.dumps(check_dataset(str(root / "tiny.yaml"), root).to_json(), allow_nan=False).encode()


def read_city(root: Path) -> None:
    read_all("cityscapes", root)


def read_city_mapped(root: Path) -> None:
    read_all("cityscapes-ika", root)


def check_city(root: Path) -> object:
    return json.dumps(check_dataset("cityscapes", root).to_json(), allow_nan=False).encode()


def read_ika(root: Path) -> None:
    read_all("ika", root)


def read_labels(root: Path) -> None:
    load_space(str(root / "ika-12.yaml")).evaluated  # noqa: B018
    labels = (root / "cityscapes-to-ika.yaml").read_bytes().replace(b": ika-12.yaml", f": {root}/ika-12.yaml".encode())
    (root / "map.yaml").write_bytes(labels)
    load_map(str(root / "map.yaml"))


def read_city_configs(root: Path) -> None:
    read_all(str(root / "mine.yaml"), root)
    read_all(str(root / "derived.yaml"), root)


def read_model(root: Path) -> None:
    path = str(root / "mine.yaml")
    for data, named in (("minicity", None), ("cityscapes", None), ("", "cityscapes/swin-small")):
        spec = resolve_model(path, data, checkpoint=named)
        digest([spec, spec.space.items, spec.source if not spec.local else ""])
    check_available(resolve_model(path, "minicity", checkpoint=str(root / "weights")))


def read_recipe(root: Path) -> None:
    digest(load_yaml(root / "recipe.yaml", Recipe))


@cache
def finished() -> tuple[Files, str]:
    """A data set and a run on it, with its predictions; and where its folder lies below the results."""
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder), coco_tree() | MADE)
        data = load_dataset(str(root / "tiny.yaml"), root)
        run = bench.score(root / "made", data, root / "out", name="mine")
        kept = {f"run/{p.relative_to(run.folder)}": p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
        files = {name: content for name, content in kept.items() if not name.endswith(".lock")}
        return coco_tree() | files, str(run.folder.relative_to(root / "out"))


def finished_run() -> Files:
    return finished()[0]


def show_run(root: Path) -> None:
    """What show, leaderboard and report say of a run, without the plots."""
    run = read_run(root / "run")
    json.dumps(run.score.to_json(), allow_nan=False)
    [headline(run.name, run.dataset, run.score), semantic_table(run.score), class_table(run.score)]
    run.to_frame()
    boards = leaderboard(read_runs(root))
    [to_markdown(boards), to_tables(boards), to_csv(boards), to_json(boards)]
    rule = run.meta.rules.get("semantic_rule")
    with error_context(run.folder):
        score(run.lines(), run.categories, "detectron2" if rule == "detectron2" else "cityscapes")


def draw_run(root: Path) -> None:
    overlays(read_run(root / "run"), load_dataset(str(root / "tiny.yaml"), root), root / "drawn", 1)


def verify_run(root: Path) -> None:
    """What verify says of a run, by its lines and by panopticapi."""
    run = read_run(root / "run")
    made = saved_predictions(run)
    json.dumps([check.to_json() for check in verify(run, made)])
    if made is not None:
        found = verify_reference(run, load_dataset(str(root / "tiny.yaml"), root), made)
        json.dumps(found.to_json(), allow_nan=False)


def half_run() -> Files:
    """A run that a kill ended after its first image: the predictions, and what lies in its folder."""
    files = finished_run()
    first = {name: files[name].splitlines(keepends=True)[0] for name in files if name.endswith(".jsonl")}
    kept = {name: content for name, content in files.items() if name.startswith("run/") and "done" not in name}
    return coco_tree() | MADE | kept | first


def resume_run(root: Path) -> None:
    data = load_dataset(str(root / "tiny.yaml"), root)
    made = open_predictions(root / "made")
    shutil.copytree(root / "run", root / "out" / finished()[1], symlinks=True)
    bench.score(made, data, root / "out", name="mine")


def through(*arguments: object) -> None:
    """A command in this process; what it refuses by a documented exit code is raised again, as what it said."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["bench", *map(str, arguments)])
        try:
            main()
        except SystemExit as leave:
            code = int(leave.code or 0)
    said = err.getvalue()
    assert "Traceback" not in said and "unexpected" not in said, said
    assert code in (0, 2, 3, 4, 5, 6), f"exit code {code}: {said}"
    if code:
        raise BenchError(said or out.getvalue())


def command_score(root: Path) -> None:
    through("score", "--gt", root / "gt.json", "--pred", root / "pred.json", "--out", root / "out", "--json")


def command_check(root: Path) -> None:
    through("data", "check", root / "tiny.yaml", "--data-root", root)


def command_show(root: Path) -> None:
    through("show", root / "run", "--per-class")
    through("leaderboard", "--results", root)


DOORS = (
    Door("score --gt --pred", pair, score_pair, share=12),
    Door("forms of predictions", forms, read_forms, ("np", "png", "labels"), share=2),
    Door("data check --gt", pair, check_pair, ("gt",), share=16),
    Door("COCO tree", coco_tree, read_tiny, ("gt", "jpg", "tiny")),
    Door("COCO tree, checked", coco_tree, check_tiny, share=6),
    Door("COCO zips", coco_zips, read_tiny, ("all", "jpg")),
    Door("COCO zips, checked", coco_zips, check_tiny, ("all", "jpg"), share=5),
    Door("Cityscapes tree", cityscapes, read_city, share=4),
    Door("Cityscapes tree, mapped", cityscapes, read_city_mapped, share=1),
    Door("Cityscapes tree, checked", cityscapes, check_city, share=3),
    Door("Cityscapes panoptic", cityscapes_converted, read_city, share=4),
    Door("ika", ika, read_ika, share=4),
    Door("label YAML", label_files, read_labels, share=3),
    Door("data set YAML", city_configs, read_city_configs, ("mine", "derived"), share=2),
    Door("COCO data set YAML", coco_tree, read_tiny, ("tiny",), share=6),
    Door("model YAML", model_file, read_model, ("mine",), share=2),
    Door("recipe YAML", recipe, read_recipe, share=12),
    Door("run of predictions", finished_run, show_run, ("run/run", "run/done", "run/images"), share=20),
    Door("run of a model", model_run, show_run, share=20),
    Door("overlays of a run", finished_run, draw_run, ("run",), share=1),
    Door("verified run", finished_run, verify_run, ("run",), share=4),
    Door("resumed run", half_run, resume_run, ("run",), share=5),
    Door("bench score", pair, command_score, share=1),
    Door("bench data check", coco_tree, command_check, share=1),
    Door("bench show, leaderboard", finished_run, command_show, ("run/run", "run/done"), share=1),
)
