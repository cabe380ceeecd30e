"""Scoring of two sets of panoptic PNGs: this tool against other evaluators, each in a fresh process on the same files.

    python benchmarks/evaluator.py [--only coco400 coco5000 city200] [--peers hotcoco panopticapi cityscapes] [--json]
    python benchmarks/evaluator.py --only coco400 city200 --kept copy link reference none [--repeats 5]

Generated scenes with as many runs of equal pixels a row as COCO's annotations (14-23), in the cache; all pairs of a set
differ. `bench score` computes PQ, mIoU and the stored lines; the others compute PQ only. Each turn measures all of them
one after the other, ours with an empty cache, so that no file that was decoded or hashed before helps. Medians of the
turns: wall and processor seconds (of all processes of an evaluator), peak memory of its first process (Linux), and
ratios of a turn's times to ours. `kept` is `bench score --out`; `second model` is `bench score` after another model on
the same truth, with the cache that it left. Python's compiled files are written before. The peers come with
`pip install 'panoptic-bench[peers]'`. With `--kept`, `bench score` alone, by turns without --out and with --out into a
fresh folder for each way to keep the predictions: medians; the column `kept` is the ratio.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.io.files import cache_folder

CATEGORIES = [{"id": i, "name": f"class {i}", "isthing": int(i <= 80), "color": [i, i, i]} for i in range(1, 134)]
PANOPTICAPI = (
    "import sys; from panopticapi.evaluation import pq_compute as f; f(*sys.argv[1:3], sys.argv[3], sys.argv[4])"
)
CITYSCAPES = (
    "import sys; from cityscapesscripts.evaluation.evalPanopticSemanticLabeling import evaluatePanoptic as f; "
    "f(sys.argv[1], sys.argv[3], sys.argv[2], sys.argv[4], '/dev/null')"
)
HOTCOCO = "import sys; from hotcoco import panoptic as p; p.pq_compute(*sys.argv[1:3], sys.argv[3], sys.argv[4])"


@dataclass(frozen=True)
class Peer:
    """Evaluator: required `module`, and a `program` that takes JSONs and folders of truth and prediction."""

    module: str
    distribution: str
    program: str = ""


PEERS = {
    "bench": Peer("bench", "panoptic-bench"),
    "hotcoco": Peer("hotcoco", "hotcoco", HOTCOCO),
    "panopticapi": Peer("panopticapi", "panopticapi-lite", PANOPTICAPI),
    "cityscapes": Peer("cityscapesscripts", "cityscapesScripts", CITYSCAPES),  # panopticapi's way with its own reading
}


@dataclass(frozen=True)
class Kind:
    """Kind of scenes: size and number of segments of a map, amplitude of their outlines in px."""

    height: int
    width: int
    segments: int
    rough: float


KINDS = {"coco": Kind(480, 640, 30, 6.0), "city": Kind(1024, 2048, 40, 3.5)}
SETS = {f"{kind}{pairs}": (kind, pairs) for kind in KINDS for pairs in (20, 100, 200, 400, 5000)}


def scene(rng: np.random.Generator, kind: Kind) -> NDArray[np.int32]:
    """Return segment numbers (H, W) from 1, 0 for void: cells around random points with irregular outlines."""
    y, x = np.mgrid[: kind.height, : kind.width].astype(np.float32)
    for size, strength in ((64, 14), (8, 1)):
        coarse = rng.standard_normal((2, kind.height // size + 2, kind.width // size + 2)).astype(np.float32)
        for axis, grid in ((y, coarse[0]), (x, coarse[1])):
            large = Image.fromarray(grid).resize((kind.width, kind.height), Image.Resampling.BILINEAR)
            axis += strength * kind.rough * np.asarray(large)
    best, ids = np.full(y.shape, np.inf, np.float32), np.zeros(y.shape, np.int32)
    for number in range(1, kind.segments + 1):
        far = (y - rng.uniform(0, kind.height)) ** 2 + (x - rng.uniform(0, kind.width)) ** 2 * rng.uniform(0.3, 3)
        closer = far < best
        best[closer], ids[closer] = far[closer], number
    return np.where((ids == 1) & (x % 97 < 9), 0, ids).astype(np.int32)


def made(name: str) -> Path:
    """Return the folder of a set, whose pairs all differ; missing ones are drawn by two processes."""
    kind, pairs = SETS[name]
    scenes = KINDS[kind]
    folder = cache_folder() / "evaluator-v4" / kind
    for side in ("gt", "pred", "pair"):
        (folder / side).mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(pairs) if not (folder / "pair" / f"{number}.json").is_file()]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(drawn, folder, scenes), missing, chunksize=8))
    listed = [json.loads((folder / "pair" / f"{number}.json").read_text()) for number in range(pairs)]
    images = [{"id": k, "height": scenes.height, "width": scenes.width} for k in range(pairs)]
    (folder / name).mkdir(exist_ok=True)
    for side in ("gt", "pred"):
        whole = {"images": images, "annotations": [pair[side] for pair in listed], "categories": CATEGORIES}
        (folder / name / f"{side}.json").write_text(json.dumps(whole))
    return folder / name


def drawn(folder: Path, kind: Kind, number: int) -> None:
    """Write the PNGs of one pair, and last its annotations by side."""
    rng = np.random.default_rng([kind.height, number])
    truth = scene(rng, kind)
    moved = np.roll(truth, rng.integers(-3, 4, 2), (0, 1))
    moved[moved == rng.integers(1, kind.segments + 1)] = int(rng.integers(0, kind.segments + 1))
    classes = rng.integers(1, 134, kind.segments + 1)
    found = {}
    for side, ids, flips in (("gt", truth, 0.0), ("pred", moved, 0.1)):
        changed = np.where(rng.random(classes.size) < flips, rng.integers(1, 134, classes.size), classes)
        found[side] = annotated(folder / side / f"{number:012d}.png", ids, changed, number)
    (folder / "pair" / f"{number}.json").write_text(json.dumps(found))


def annotated(path: Path, ids: NDArray[np.int32], classes: NDArray[np.int64], number: int) -> dict[str, object]:
    """Write one PNG with ids spread over 24 bits; return its annotation."""
    spread = np.arange(classes.size) * 270_001 % (1 << 24)
    colors = spread.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]
    Image.fromarray(colors[ids]).save(path)
    areas = np.bincount(ids.ravel(), minlength=classes.size)
    infos = [
        {"id": int(spread[k]), "category_id": int(classes[k]), "area": int(areas[k]), "iscrowd": 0}
        for k in range(1, classes.size)
        if areas[k]
    ]
    return {"image_id": number, "file_name": path.name, "segments_info": infos}


def command(peer: str, folder: Path, workers: int, kept: Sequence[str] = (), model: str = "pred") -> list[str]:
    files = [folder / "gt.json", folder / f"{model}.json", folder.parent / "gt", folder.parent / model]
    if peer == "bench":
        options = zip(("--gt", "--pred", "--gt-dir", "--pred-dir"), files, strict=True)
        flat = [str(part) for pair in options for part in pair]
        return [sys.executable, "-m", "bench", "score", *flat, "--workers", str(workers), "--json", *kept]
    return [sys.executable, "-c", PEERS[peer].program, *map(str, files)]


def timed(
    peer: str, folder: Path, workers: int, kept: Sequence[str] = (), *, cache: str = "", model: str = "pred"
) -> dict[str, float]:
    """Run one evaluator in a fresh process; return wall and processor seconds and peak MB."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(workers), "OMP_NUM_THREADS": "1"}
    environment |= {"BENCH_CACHE": cache or str(cache_folder())}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has compiled files
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command(peer, folder, workers, kept, model), stdout=subprocess.DEVNULL, stderr=said, env=environment
        )
        peak = 0
        while True:
            peak = max(peak, high_water(process.pid))
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.01)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{peer}: {said.read().decode()[-2000:]}")
    return {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_MB": peak / 1024}


def high_water(pid: int) -> int:
    """Return the peak memory of a process in KiB; wait4 would include the memory of this process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")), 0)


def turn(folder: Path, peers: list[str]) -> dict[str, dict[str, float]]:
    """Return the times of each evaluator, measured one after the other, ours with an empty cache."""
    found = {peer: timed(peer, folder, 2) for peer in peers}
    for name, workers, kept in (("bench", 2, False), ("bench, one worker", 1, False), ("bench, kept", 2, True)):
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            found[name] = timed("bench", folder, workers, ["--out", f"{cache}/out"] if kept else [], cache=cache)
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        timed("bench", folder, 2, cache=cache, model="gt")  # the truth itself is the first model
        found["bench, second model"] = timed("bench", folder, 2, cache=cache)
    return found


def rows_of(name: str, peers: list[str], repeats: int) -> list[dict[str, object]]:
    """Return the medians of `repeats` turns of each evaluator; ratios are medians of the ratios of single turns."""
    folder = made(name)
    timed("bench", folder, 2)  # compiles the modules
    turns = [turn(folder, peers) for _ in range(repeats)]
    rows = []
    for one in turns[0]:
        found = {key: statistics.median(times[one][key] for times in turns) for key in turns[0][one]}
        ratios = {
            f"{kind} / {ours}": statistics.median(
                times[one][f"{kind}_s"] / times[other][f"{kind}_s"] for times in turns
            )
            for ours, other in (("ours", "bench"), ("kept", "bench, kept"), ("second model", "bench, second model"))
            for kind in ("wall", "cpu")
        }
        distribution = PEERS[one.partition(",")[0]].distribution
        row = {"set": name, "evaluator": one, "version": version(distribution), **found, **ratios}
        rows.append(row)
    return rows


def kept_rows(name: str, ways: list[str], repeats: int) -> list[dict[str, object]]:
    """Return the median times of bench without --out and for each way to keep predictions, measured by turns."""
    folder = made(name)
    found: dict[str, list[dict[str, float]]] = {"no --out": [], **{way: [] for way in ways}}
    for number in range(repeats + 1):
        for way, times in found.items():
            with tempfile.TemporaryDirectory(dir=folder) as out:  # on one file system with the files, for hard links
                kept = [] if way == "no --out" else ["--out", out, "--keep-predictions", way]
                one = timed("bench", folder, 2, kept)
            times += [one] if number else []  # the first hashes the files
    middle = {
        way: {key: statistics.median(one[key] for one in times) for key in times[0]} for way, times in found.items()
    }
    bare = middle["no --out"]["wall_s"]
    return [
        {"set": name, "pairs": SETS[name][1], "predictions": way, **one, "kept": one["wall_s"] / bare}
        for way, one in middle.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SETS, default=["coco400", "coco5000", "city200"])
    parser.add_argument("--peers", nargs="+", choices=list(PEERS)[1:], default=["hotcoco", "panopticapi"])
    parser.add_argument("--kept", nargs="+", choices=["copy", "link", "reference", "none"], help="ways to keep them")
    parser.add_argument("--repeats", type=int, help="turns, default 5")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    peers = [peer for peer in asked.peers if importlib.util.find_spec(PEERS[peer].module)]
    if asked.kept:
        rows = [row for name in asked.only for row in kept_rows(name, asked.kept, asked.repeats or 5)]
    else:
        rows = [row for name in asked.only for row in rows_of(name, peers, asked.repeats or 5)]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    table = Table()
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
