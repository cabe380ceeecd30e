"""Give the committed runs the identity that this checkout computes, if it reproduces their image lines.

    python benchmarks/adopt_runs.py [results] [--images 3]

The model or the predictions of each run are computed again for its first images. If every line equals the stored one,
the new identity is written to run.json and the folder is renamed; nothing else is changed. A run that cannot be
reproduced stays as it is, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import bench
from bench.datasets.dataset import Dataset
from bench.datasets.label_map_files import find_label_map
from bench.datasets.registry import load_dataset
from bench.evaluation.damage import damage_dataset
from bench.evaluation.identity import identity_digest, image_inputs, model_identity, run_identity
from bench.io.files import read_json, write_json
from bench.io.hashing import FileDigests
from bench.models.resolve import resolve_model
from bench.models.user_code import user_code
from bench.results.predictions import open_predictions
from bench.results.records import ModelRecord, PredictionsRecord
from bench.results.run import Run, read_runs


def adopted(run: Run, scratch: Path, images: int) -> str:
    """Update one run if its first lines are reproduced; return a message."""
    data = load_dataset(run.dataset)
    metrics, batch_size = run.meta.metrics, run.meta.batch_size or 1
    digests, protocol = FileDigests(), run.score.protocol
    inputs = image_inputs(data, digests, pictures=isinstance(run.meta.model, ModelRecord))
    few = data.only([line["image_id"] for line, _ in zip(run.lines(), range(images), strict=False)])
    if isinstance(run.meta.model, PredictionsRecord):
        made = damage_dataset(data, scratch / run.name)
        model: dict[str, Any] = {"predictions": open_predictions(made).digest(digests)}
        identity = run_identity(run.name, data, model, batch_size, protocol, metrics, inputs=inputs)
        again, shown = bench.score(made, few, scratch / "out", protocol=protocol, metrics=metrics), model
    else:
        spec = resolve_model(run.name, data.name, base=data.base, space=data.space,
                             checkpoint=run.meta.model.checkpoint)  # fmt: skip
        labels = find_label_map((spec.categories, spec.space), (data.space or data.name, data.categories), None)
        model = model_identity(spec, user_code(spec), digests)
        identity = run_identity(run.name, data, model, batch_size, protocol, metrics, device=run.meta.device,
                                labels=labels, inputs=inputs)  # fmt: skip
        again = bench.run(spec, few, scratch / "out", device="cpu", batch_size=batch_size, protocol=protocol,
                           metrics=metrics, save_predictions=False)  # fmt: skip
        shown = read_json(again.folder / "run.json")["model"]
    return _completed(run, identity, shown) if _agree(run, again, few) else "lines differ"


def _agree(run: Run, again: Run, few: Dataset) -> bool:
    wanted = {sample.image_id for sample in few.samples}
    stored = {line["image_id"]: line for line in run.lines() if line["image_id"] in wanted}
    return stored == {line["image_id"]: line for line in again.lines()}


def _completed(run: Run, identity: dict[str, Any], model: dict[str, Any]) -> str:
    digest = identity_digest(identity)
    stored = read_json(run.folder / "run.json")
    write_json(run.folder / "run.json", {**stored, **identity, "model": model, "identity": digest})
    run.folder.rename(run.folder.with_name(digest[:12]))
    return f"is now {digest[:12]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--images", type=int, default=3)
    options = parser.parse_args()
    failed = 0
    for run in read_runs(options.results):
        with tempfile.TemporaryDirectory() as scratch:
            found = adopted(run, Path(scratch), options.images)
        failed += not found.startswith("is now")
        print(f"{run.dataset:24} {run.name:14} {run.folder.name} {found}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
