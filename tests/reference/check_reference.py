"""Old checkpoints against the project's loader: are they taken, and are the logits what the old transformers gave?

    python check_reference.py [--full] [--keep FOLDER] [NAME ...]

`make reference` runs it. Each checkpoint is built by `make_reference.py` in the environment `transformers4`, loaded in
a process of its own and deleted again, unless --keep names a folder for it. The small ones are checked, --full the
size of the hub's files (3 GB of memory, a minute each). Exit code 1 where one is refused or differs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from formula_weights import formula_tensor, forward, position_index
from hub_form import FULL, SMALL

from bench.adapters.hub import load_pretrained, read_config, uses_timm
from bench.errors import BenchError
from bench.models.environments import interpreter

HERE = Path(__file__).parent
TOLERANCE = 5e-5  # of a logit


def small_names() -> list[str]:
    """The checkpoints that are recorded here: configuration, names and shapes of tensors, logits."""
    return sorted(file.stem for file in (HERE / "small").glob("*.json"))


def build_small(folder: Path, name: str) -> Path:
    """The folder of a recorded checkpoint, in the form of the hub's old files."""
    import torch

    told = json.loads((HERE / "small" / f"{name}.json").read_text(encoding="utf-8"))
    place = folder / name
    place.mkdir()
    (place / "config.json").write_text(json.dumps(told["config"]), encoding="utf-8")
    weights = {}
    for key, shape in told["tensors"].items():
        index = key.endswith("relative_position_index")
        weights[key] = torch.from_numpy(position_index(shape[0]) if index else formula_tensor(key, shape))
    torch.save(weights, place / "pytorch_model.bin")
    shutil.copy(HERE / "small" / f"{name}.npz", place / "logits.npz")
    return place


def difference(folder: Path) -> float:
    """The largest difference of a logit between the project's loader and what lies in the folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    expected = np.load(folder / "logits.npz")
    model = load_pretrained(folder, config["architectures"][0]).eval()
    found = forward(model, config, tuple(expected["size"].tolist()))
    return max(float(np.abs(found[kind] - expected[kind]).max()) for kind in found)


def measure(folder: Path) -> dict[str, Any]:
    """What one check found, as a row: it runs in a process of its own, whose peak memory is the model's."""
    begun = time.perf_counter()
    row: dict[str, Any] = {"name": folder.name, "said": "loads", "difference": None}
    try:
        if uses_timm(read_config(folder)) and importlib.util.find_spec("timm") is None:
            row["said"] = "not checked: needs timm and torchvision (pip install 'panoptic-bench[detr]')"
        else:
            row["difference"] = difference(folder)
    except BenchError as error:
        row["said"] = f"refused: {error}"
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    return {**row, "seconds": time.perf_counter() - begun, "peak": peak}


def check(name: str, place: Path) -> dict[str, Any]:
    """Builds a checkpoint with the old transformers and measures it with the project's."""
    maker = [str(interpreter("transformers4")), str(HERE / "make_reference.py"), str(place), name]
    subprocess.run(maker, check=True, stdout=sys.stderr)
    told = subprocess.run(
        [sys.executable, __file__, "--one", str(place / name)], check=True, stdout=subprocess.PIPE, text=True
    )
    row: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return row


def main() -> int:
    """Check what was asked for and print a table."""
    parser = argparse.ArgumentParser(description="Old checkpoints against the project's loader.")
    parser.add_argument("names", nargs="*", help="checkpoints (default: all small ones, or all with --full)")
    parser.add_argument("--full", action="store_true", help="at the size of the hub's files")
    parser.add_argument("--keep", type=Path, help="keep the checkpoints in this folder")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one)))
        return 0
    names = asked.names or list(FULL if asked.full else SMALL)
    print(f"{'checkpoint':44} {'difference':>10} {'seconds':>8} {'peak GB':>8}  outcome", flush=True)
    good = True
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bench-reference-") as scratch:
            row = check(name, asked.keep or Path(scratch))
        found = row["difference"]
        good = good and (row["said"].startswith("not checked") if found is None else found <= TOLERANCE)
        shown = "–" if found is None else f"{found:.1e}"
        print(f"{name:44} {shown:>10} {row['seconds']:8.1f} {row['peak']:8.1f}  {row['said']}", flush=True)
    print(f"all that were checked lie within {TOLERANCE:g}" if good else f"not all load and lie within {TOLERANCE:g}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
