"""The doors through which files enter the tool, each with sound files and with all that reads them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench import launch
from bench.check.check import check_dataset, check_files
from bench.cli import main
from bench.config import digest, load_yaml
from bench.datasets.coco_files import coco_truth
from bench.datasets.dataset import load_dataset
from bench.errors import BenchError, naming
from bench.maps import load_map
from bench.metrics.score import score
from bench.models import check_source, resolve_model, weights_digest
from bench.predictions import open_predictions, predictions_of
from bench.recipes.recipe import Recipe
from bench.report.frame import class_frame
from bench.report.leaderboard import leaderboard, to_csv, to_json, to_markdown, to_tables
from bench.report.overlays import overlays, run_categories
from bench.report.tables import class_table, headline, semantic_table
from bench.results import read_run, read_runs
from bench.spaces import load_space
from bench.stats import dataset_stats

Files = dict[str, bytes]
CONFIGS = Path(__file__).parents[2] / "configs"


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


def write(root: Path, files: Files) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


IDS = np.array(
    [
        [10, 10, 10, 10, 10, 10, 10, 0],
        [10, 300, 300, 0, 66000, 66000, 66000, 0],
        [20, 300, 300, 20, 66000, 66000, 66000, 301],
        [20, 20, 20, 20, 20, 20, 20, 20],
    ]
)
CLASS_OF = {10: 4, 20: 3, 300: 1, 301: 1, 66000: 2}
CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    {"id": 2, "name": "car", "isthing": 1, "color": [0, 0, 142]},
    {"id": 3, "name": "road", "isthing": 0, "color": [128, 64, 128]},
    {"id": 4, "name": "sky", "isthing": 0, "color": [70, 130, 180]},
]


def picture(pixels: NDArray[Any], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    PilImage.fromarray(pixels).save(file, kind)
    return file.getvalue()


def png_of(ids: NDArray[Any]) -> bytes:
    """Segment ids as a panoptic PNG."""
    return picture(np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8))


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def coco_json(*, scores: bool = False) -> bytes:
    areas = dict(zip(*np.unique(IDS, return_counts=True), strict=True))
    infos = [
        {"id": number, "category_id": category, "iscrowd": 0, "area": int(areas[number]), "bbox": [0, 0, 1, 1]}
        | ({"score": 0.5} if scores else {})
        for number, category in CLASS_OF.items()
    ]
    return json.dumps(
        {
            "categories": CATEGORIES,
            "images": [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 8} for i in "ab"],
            "annotations": [{"image_id": i, "file_name": f"{i}.png", "segments_info": infos} for i in "ab"],
        }
    ).encode()


RGB = np.arange(96, dtype=np.uint8).reshape(4, 8, 3)
SEMANTIC = np.vectorize(lambda i: CLASS_OF.get(i, 0))(IDS).astype(np.uint8)
PNGS = {f"{i}.png": png_of(IDS) for i in "ab"}
PICTURES = {f"{i}.jpg": picture(RGB, "JPEG") for i in "ab"}


def below(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": content for name, content in files.items()}


def pair() -> Files:
    """Truth and predictions as any tool writes them."""
    made = {"pred.json": coco_json(scores=True), **below("pred", PNGS)}
    return {"gt.json": coco_json(), **below("gt", PNGS), **made,
            **{f"pred/semantic/{i}.png": picture(SEMANTIC) for i in "ab"}}  # fmt: skip


def score_pair(root: Path) -> object:
    truth = coco_truth(root / "gt.json", root / "gt")
    made = predictions_of(root / "pred.json", root / "pred")
    run = launch.score_predictions(made, "mine", truth, root / "out", again=True)
    return json.dumps(run.score, allow_nan=False)


def check_pair(root: Path) -> object:
    return json.dumps(check_files(root / "gt.json", root / "gt").to_json(), allow_nan=False).encode()


COCO_YAML = """\
title: tiny
layout: coco
labels: from-file
splits: [val]
default_split: val
semantic_rule: detectron2
roots: {NOWHERE: ""}
files:
  val:
    json: [gt.json, all.zip/gt.json]
    panoptic: [gt, all.zip/png.zip/gt]
    images: [jpg, jpg.zip]
tree: |
  gt.json
obtain: nowhere
"""


def coco_tree() -> Files:
    return {"tiny.yaml": COCO_YAML.encode(), "gt.json": coco_json(), **below("gt", PNGS), **below("jpg", PICTURES)}


def coco_zips() -> Files:
    inner = zipped(below("gt", PNGS), zipfile.ZIP_STORED)
    return {"tiny.yaml": COCO_YAML.encode(), "all.zip": zipped({"gt.json": coco_json(), "png.zip": inner}),
            "jpg.zip": zipped(PICTURES, zipfile.ZIP_STORED)}  # fmt: skip


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


CITY = "bonn/bonn_000001_000019"
LABELS = np.array([[23, 23, 4, 24000], [7, 7, 24, 26001], [7, 0, 26000, 26000]])


def cityscapes() -> Files:
    return {f"leftImg8bit/val/{CITY}_leftImg8bit.png": picture(RGB[:3, :4]),
            f"gtFine/val/{CITY}_gtFine_instanceIds.png": picture(LABELS.astype(np.uint16))}  # fmt: skip


def cityscapes_converted() -> Files:
    """As createPanopticImgs leaves it."""
    image = CITY.partition("/")[2]
    named = {7: "road", 26: "car"}
    infos = [{"id": n, "category_id": n, "iscrowd": 0, "area": 16, "bbox": [0, 0, 1, 1]} for n in named]
    categories = [{"id": n, "name": name, "isthing": int(n > 23), "color": [1, 2, 3]} for n, name in named.items()]
    listed = {"images": [{"id": image, "file_name": "x.png", "width": 8, "height": 4}], "categories": categories,
              "annotations": [{"image_id": image, "file_name": "x.png", "segments_info": infos}]}  # fmt: skip
    return {f"leftImg8bit/val/{CITY}_leftImg8bit.png": picture(RGB),
            "gtFine/cityscapes_panoptic_val.json": json.dumps(listed).encode(),
            "gtFine/cityscapes_panoptic_val/x.png": png_of(np.repeat([[7], [26]], 2, 0).repeat(8, 1))}  # fmt: skip


def ika() -> Files:
    colours = np.array([(128, 64, 128), (244, 35, 232), (0, 0, 0), (0, 0, 142)], dtype=np.uint8)
    return {"input/a.png": picture(RGB),
            "label/a_gtFine_labelColor.png": picture(colours[np.arange(32).reshape(4, 8) % 4])}  # fmt: skip


def read_city(root: Path) -> None:
    read_all("cityscapes", root)


def read_city_mapped(root: Path) -> None:
    read_all("cityscapes-ika", root)


def check_city(root: Path) -> object:
    return json.dumps(check_dataset("cityscapes", root).to_json(), allow_nan=False).encode()


def read_ika(root: Path) -> None:
    read_all("ika", root)


def shipped(*names: str) -> Files:
    """Shipped configs under their own names, those that name each other by a path beside them."""
    texts = {Path(name).name: (CONFIGS / name).read_text(encoding="utf-8") for name in names}
    for name in texts:
        texts = {other: text.replace(f": {Path(name).stem}\n", f": {name}\n") for other, text in texts.items()}
    return {name: text.encode() for name, text in texts.items()}


def label_files() -> Files:
    return shipped("labels/ika-12.yaml", "labels/cityscapes-to-ika.yaml")


def read_labels(root: Path) -> None:
    load_space(str(root / "ika-12.yaml")).scored  # noqa: B018
    labels = (root / "cityscapes-to-ika.yaml").read_bytes().replace(b": ika-12.yaml", f": {root}/ika-12.yaml".encode())
    (root / "map.yaml").write_bytes(labels)
    load_map(str(root / "map.yaml"))


def city_configs() -> Files:
    return {"mine.yaml": (CONFIGS / "datasets" / "cityscapes.yaml").read_bytes(),
            "derived.yaml": (CONFIGS / "datasets" / "cityscapes-ika.yaml").read_bytes(), **cityscapes()}  # fmt: skip


def read_city_configs(root: Path) -> None:
    read_all(str(root / "mine.yaml"), root)
    read_all(str(root / "derived.yaml"), root)


def model_file() -> Files:
    return {"mine.yaml": (CONFIGS / "models" / "mask2former.yaml").read_bytes(), "weights/config.json": b"{}",
            "weights/model.safetensors": b""}  # fmt: skip


def read_model(root: Path) -> None:
    path = str(root / "mine.yaml")
    for data, named in (("minicity", None), ("cityscapes", None), ("", "cityscapes/swin-small")):
        spec = resolve_model(path, data, checkpoint=named)
        digest([spec, spec.space.items, weights_digest(spec) if not spec.local else ""])
    check_source(resolve_model(path, "minicity", checkpoint=str(root / "weights")))


def recipe() -> Files:
    return {"recipe.yaml": (CONFIGS / "train" / "mask2former-tiny-minicity.yaml").read_bytes()}


def read_recipe(root: Path) -> None:
    digest(load_yaml(root / "recipe.yaml", Recipe))


MADE = below("made", {"predictions.json": coco_json(scores=True), **PNGS})


@cache
def finished_run() -> Files:
    """A data set and a run on it, with its predictions."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder), coco_tree() | MADE)
        data = load_dataset(str(root / "tiny.yaml"), root)
        run = launch.score_predictions(open_predictions(root / "made"), "mine", data, root / "out")
        kept = {f"run/{p.relative_to(run.folder)}": p.read_bytes() for p in run.folder.rglob("*") if p.is_file()}
        return coco_tree() | {name: content for name, content in kept.items() if not name.endswith(".lock")}


def model_run() -> Files:
    """A committed run of a model: its meta says more than that of predictions."""
    (folder,) = (CONFIGS.parent / "results" / "minicity-val" / "mask2former").glob("*")
    names = ("run.json", "done.json")
    lines = b"".join((folder / "images-0-of-1.jsonl").read_bytes().splitlines(keepends=True)[:2])
    return {f"run/{name}": (folder / name).read_bytes() for name in names} | {"run/images-0-of-1.jsonl": lines}


def show_run(root: Path) -> None:
    """What show, leaderboard and report say of a run, without the plots."""
    run = read_run(root / "run")
    json.dumps(run.score, allow_nan=False)
    [headline(run.name, run.dataset, run.score), semantic_table(run.score), class_table(run.score)]
    class_frame(run.score)
    boards = leaderboard(read_runs(root))
    [to_markdown(boards), to_tables(boards), to_csv(boards), to_json(boards)]
    rule = run.meta.get("rules", {}).get("semantic_rule")
    with naming(run.folder):
        score(run.lines(), run_categories(run), "detectron2" if rule == "detectron2" else "cityscapes")


def draw_run(root: Path) -> None:
    overlays(read_run(root / "run"), load_dataset(str(root / "tiny.yaml"), root), root / "drawn", 1)


def half_run() -> Files:
    """A run that a kill ended after its first image: the predictions, and what lies in its folder."""
    files = finished_run()
    first = {name: files[name].splitlines(keepends=True)[0] for name in files if name.endswith(".jsonl")}
    kept = {name: content for name, content in files.items() if name.startswith("run/") and "done" not in name}
    return coco_tree() | MADE | kept | first


def resume_run(root: Path) -> None:
    data = load_dataset(str(root / "tiny.yaml"), root)
    made = open_predictions(root / "made")
    identity = launch._identity("mine", data, {"predictions": made.digest()}, 1)
    folder = launch._folder(root / "out", data, "mine", identity)
    shutil.copytree(root / "run", folder)
    launch.score_predictions(made, "mine", data, root / "out")


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
    Door("score --gt --pred", pair, score_pair),
    Door("data check --gt", pair, check_pair, ("gt",)),
    Door("COCO tree", coco_tree, read_tiny, ("gt", "jpg", "tiny")),
    Door("COCO tree, checked", coco_tree, check_tiny, share=8),
    Door("COCO zips", coco_zips, read_tiny, ("all", "jpg")),
    Door("COCO zips, checked", coco_zips, check_tiny, ("all", "jpg"), share=6),
    Door("Cityscapes tree", cityscapes, read_city, share=5),
    Door("Cityscapes tree, mapped", cityscapes, read_city_mapped, share=2),
    Door("Cityscapes tree, checked", cityscapes, check_city, share=5),
    Door("Cityscapes panoptic", cityscapes_converted, read_city, share=6),
    Door("ika", ika, read_ika, share=6),
    Door("label YAML", label_files, read_labels, share=4),
    Door("data set YAML", city_configs, read_city_configs, ("mine", "derived"), share=3),
    Door("COCO data set YAML", coco_tree, read_tiny, ("tiny",), share=6),
    Door("model YAML", model_file, read_model, ("mine",), share=3),
    Door("recipe YAML", recipe, read_recipe),
    Door("run of predictions", finished_run, show_run, ("run/run", "run/done", "run/images"), share=14),
    Door("run of a model", model_run, show_run, share=14),
    Door("overlays of a run", finished_run, draw_run, ("run",), share=1),
    Door("resumed run", half_run, resume_run, ("run",), share=5),
    Door("bench score", pair, command_score, share=1),
    Door("bench data check", coco_tree, command_check, share=1),
    Door("bench show, leaderboard", finished_run, command_show, ("run/run", "run/done"), share=1),
)
