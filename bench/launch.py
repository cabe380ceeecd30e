"""The verbs: run a model, score predictions. What they leave behind is a run on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.adapter import adapter_module, load_model
from bench.config import digest, plain
from bench.datasets.dataset import Dataset
from bench.errors import BenchError, PartialRun, UsageError
from bench.evaluate import OnImage, run_model, run_predictions
from bench.maps import described, prediction_map
from bench.metrics.pq import PQ_VERSION
from bench.metrics.score import score
from bench.metrics.semantic import SEMANTIC_VERSION
from bench.models import ModelSpec, weights_digest
from bench.predictions import PredictionFolder, PredictionWriter
from bench.provenance import code_digest, provenance
from bench.results import Run, RunWriter, comparability, read_lines, read_run


def run(
    spec: ModelSpec,
    dataset: Dataset,
    out: Path,
    *,
    device: str = "auto",
    batch_size: int = 1,
    workers: int = 2,
    save_predictions: bool = True,
    again: bool = False,
    label_map: str | None = None,
    command: Sequence[str] = (),
    on_image: OnImage | None = None,
) -> Run:
    """Predicts and scores a data set; a finished run is read, an interrupted one resumed.

    Where the model has another label space than the data set, its predictions are mapped: by `label_map`
    (a name of configs/labels or a file), or by a shipped map that leads from one to the other.
    """
    if batch_size < 1 or workers < 1:
        raise UsageError("--batch-size and --workers must be at least 1")
    data_space = (dataset.space or dataset.name, dataset.categories)
    labels = prediction_map((spec.categories, spec.space), data_space, label_map)
    identity = _identity(spec.name, dataset, _model_identity(spec), batch_size)
    if labels is not None:
        code = code_digest([Path(str(files("bench"))) / "labels.py"])
        identity["label_map"] = {**described(labels), "code": code}
    folder = _folder(out, dataset, spec.name, identity)
    if (folder / "done.json").exists() and not again:
        return read_run(folder)
    adapter = load_model(spec, device)
    about = {
        "model": {**_shown(spec), "weights": identity["model"]["weights"]},
        "device": str(getattr(adapter, "device", device)),
        "parameters": getattr(adapter, "parameters", None),
        "revision": getattr(adapter, "revision", None),
    }
    meta = {**identity, **about, "provenance": provenance(), "command": list(command)}
    with _writer(folder, meta, dataset, again) as writer:
        with _saving(folder, dataset, save_predictions) as save:
            run_model(
                adapter, dataset, writer,
                batch_size=batch_size, workers=workers, save=save, labels=labels, on_image=on_image,
            )  # fmt: skip
        _finish(writer, dataset)
    return read_run(folder)


def score_predictions(
    predictions: PredictionFolder,
    name: str,
    dataset: Dataset,
    out: Path,
    *,
    workers: int = 2,
    save_predictions: bool = True,
    again: bool = False,
    command: Sequence[str] = (),
    on_image: OnImage | None = None,
) -> Run:
    """Scores predictions that lie in files; the run is like any other, and keeps a copy of them."""
    identity = _identity(name, dataset, {"predictions": predictions.digest()}, 1)
    folder = _folder(out, dataset, name, identity)
    if (folder / "done.json").exists() and not again:
        return read_run(folder)
    meta = {**identity, "provenance": provenance(), "command": list(command)}
    with _writer(folder, meta, dataset, again) as writer:
        with _saving(folder, dataset, save_predictions) as save:
            run_predictions(predictions, dataset, writer, workers=workers, save=save, on_image=on_image)
        _finish(writer, dataset)
    return read_run(folder)


@contextmanager
def _saving(folder: Path, dataset: Dataset, wanted: bool) -> Iterator[PredictionWriter | None]:
    """A writer of the run's predictions; their COCO file is written when all images are there."""
    if not wanted:
        yield None
        return
    with PredictionWriter(folder / "predictions") as predictions:
        yield predictions
        predictions.finish([sample.image_id for sample in dataset.samples], dataset.categories)


def _identity(name: str, dataset: Dataset, model: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """What makes a run the same run."""
    return {
        "name": name,
        "model": dict(model),
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "images": len(dataset.samples),
            "image_ids": digest([sample.image_id for sample in dataset.samples])[:16],
            "categories": plain(dataset.categories.items),
            **({} if dataset.labels is None else {"base": dataset.base, "label_map": described(dataset.labels)}),
        },
        "rules": _rules(dataset),
        "code": code_digest([*_python_files("bench.fusion"), *_python_files("bench.metrics")]),
        "batch_size": batch_size,
    }


def _rules(dataset: Dataset) -> dict[str, Any]:
    """With the truth, the comparability key: what counts, and how."""
    return {
        "categories": digest([(c.id, c.isthing) for c in dataset.categories])[:16],
        "void": digest(sorted(dataset.void))[:16],
        "protocol": "coco",
        "semantic_rule": dataset.semantic_rule,
        "pq_version": PQ_VERSION,
        "semantic_version": SEMANTIC_VERSION,
    }


def _model_identity(spec: ModelSpec) -> dict[str, Any]:
    """The specification with the weights' digest in place of the folder that they happen to lie in."""
    module, _ = adapter_module(spec)
    apart = ("source", "published", "adapter", "needs", "parts")
    stable = {key: value for key, value in plain(spec).items() if key not in apart}
    if spec.parts:
        stable["parts"] = {role: _model_identity(part) for role, part in spec.parts.items()}
    return {**stable, "weights": weights_digest(spec), "adapter_code": code_digest(_adapter_files(module))}


def _adapter_files(module: ModuleType) -> list[Path]:
    """The adapter's file, and what lies beside it where its family has a package of its own."""
    file = Path(str(module.__file__))
    shared = module.__package__ in (None, "", "bench.adapters")
    return [file] if shared else sorted(file.parent.glob("*.py"))


def _shown(spec: ModelSpec) -> dict[str, Any]:
    """The specification as run.json has it."""
    parts = {role: _shown(part) for role, part in spec.parts.items()}
    return {**plain(spec), "source": _portable(spec.source), "parts": parts}


def _portable(source: str) -> str:
    """Shipped weights are named by their place in the package, wherever that is installed."""
    package = Path(str(files("bench.adapters")))
    return str(Path(source).relative_to(package)) if Path(source).is_relative_to(package) else source


def _python_files(package: str) -> list[Path]:
    return sorted(Path(str(files(package))).glob("*.py"))


def _folder(out: Path, dataset: Dataset, name: str, identity: Mapping[str, Any]) -> Path:
    return out / dataset.slug / name / digest(identity)[:12]


@contextmanager
def _writer(folder: Path, meta: Mapping[str, Any], dataset: Dataset, fresh: bool) -> Iterator[RunWriter]:
    """The run's writer; what ends it early says how far it came and that the same command goes on."""
    with RunWriter(folder, meta, fresh=fresh) as writer:
        try:
            yield writer
        except BenchError as error:
            raise type(error)(f"{error}\n{_kept(writer, dataset)}") from error
        except OSError as error:  # what is read raises DataError: this one is from writing
            reason = f"{error.filename or folder}: cannot be written ({error.strerror or error})"
            raise PartialRun(f"{reason}; make room or change the permissions\n{_kept(writer, dataset)}") from error


def _kept(writer: RunWriter, dataset: Dataset) -> str:
    done, total = len(writer.done), len(dataset.samples)
    return f"{done} of {total} images are scored and kept; when that is mended, the same command resumes"


def _finish(writer: RunWriter, dataset: Dataset) -> None:
    """Totals from the stored lines, so that what is shown is what is stored."""
    file = writer.folder / "images-0-of-1.jsonl"
    total = score(read_lines(file), dataset.categories, dataset.semantic_rule)
    order = [sample.image_id for sample in dataset.samples]
    writer.finish(total.to_json(), comparability(read_lines(file), order, _rules(dataset)))
