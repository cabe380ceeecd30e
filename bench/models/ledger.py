"""Published results (configs/published, configs/models) beside the runs that measure them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.analysis.comparison import run_sums
from bench.errors import UsageError
from bench.io.config import load_yaml, read_record, shipped_configs
from bench.io.files import write_json
from bench.metrics.bootstrap import PQ_PARTS, Estimate, estimates, mean_pq, resample
from bench.metrics.rules import rule_tables
from bench.models.model_file import InputSize, ModelFile, Published, PublishedRule
from bench.models.spec import ModelSpec
from bench.results.records import ModelRecord
from bench.results.run import Run

NOTES = "ledger.json"
# Papers print one decimal of percent.
CLOSE = 0.001
REPLICATES = 10_000
UNMEASURED = Estimate(None, None, None)
Verdict = Literal["within 0.1", "explained", "unexplained", "not measured"]


@dataclass(frozen=True)
class PublishedRow:
    """One published result, as fractions; None if the source has no such number.

    `name` is the checkpoint of configs/models with these weights, "" if there is none; `repo` and `url` are the address
    of the weights. `rule` is the evaluator of the PQ (see `Published`), `setting` what the source says of the test.
    `note` explains a known difference. `input` is the test scale of the checkpoint.
    """

    model: str
    dataset: str
    split: str
    rule: PublishedRule
    source: str
    backbone: str = ""
    name: str = ""
    repo: str = ""
    url: str = ""
    setting: str = ""
    PQ: float | None = None
    SQ: float | None = None
    RQ: float | None = None
    PQ_things: float | None = None
    PQ_stuff: float | None = None
    mIoU: float | None = None
    note: str = ""
    input: InputSize | None = None

    def __post_init__(self) -> None:
        for name in ("PQ", "SQ", "RQ", "PQ_things", "PQ_stuff", "mIoU"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{self.model}: {name} is a fraction of one, not {value:g}; write {value / 100:g}")


@dataclass(frozen=True)
class PublishedFile:
    """Schema of configs/published/*.yaml. `splits` is `data set:split` → its number of images."""

    rows: tuple[PublishedRow, ...]
    splits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunNote:
    """Entry of ledger.json: the checkpoint that a run reproduces, and the explanation of its difference, or ""."""

    checkpoint: str
    note: str = ""


@dataclass(frozen=True)
class NotesFile:
    """Content of ledger.json in a results folder: run folder below it → note."""

    runs: Mapping[str, RunNote] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A published row with its measurement. `difference` is measured - published; `why` the note or the reason."""

    published: PublishedRow
    verdict: Verdict
    why: str
    measured: float | None = None
    difference: Estimate = UNMEASURED
    run: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return fractions, null if undefined; the interval is [low, high] of the difference, over images."""
        row = {key: value for key, value in asdict(self.published).items() if value not in ("", None)}
        return {
            "published": row, "measured": self.measured, "difference": self.difference.value,
            "interval": None if self.difference.low is None else [self.difference.low, self.difference.high],
            "verdict": self.verdict, "why": self.why, "run": self.run,
        }  # fmt: skip


def read_published(path: Path | None = None) -> PublishedFile:
    """Return the published results of a YAML, by default those that ship after the checkpoints of configs/models."""
    file = load_yaml(path or shipped_configs("published")["results"], PublishedFile)
    models = {name: load_yaml(where, ModelFile) for name, where in shipped_configs("models").items()}
    known = {
        address: (f"{name}/{label}", checkpoint.input)
        for name, model in models.items()
        for label, checkpoint in model.checkpoints.items()
        for address in (checkpoint.repo, checkpoint.url)
        if address
    }
    rows = [_linked(row, known) for row in file.rows]
    if path is None:
        checkpoints = [
            checkpoint_row(f"{name}/{label}", model.title, checkpoint.published, checkpoint.input)
            for name, model in models.items()
            for label, checkpoint in model.checkpoints.items()
            if checkpoint.published
        ]
        rows = [*checkpoints, *rows]
    return replace(file, rows=tuple(rows))


def _linked(row: PublishedRow, known: Mapping[str, tuple[str, InputSize | None]]) -> PublishedRow:
    name, size = known.get(row.repo) or known.get(row.url) or ("", None)
    return replace(row, name=row.name or name, input=row.input or size)


def checkpoint_row(name: str, title: str, published: Published, size: InputSize | None) -> PublishedRow:
    """Return the row of a checkpoint's `published`, which is of the split val."""
    return PublishedRow(
        title.partition(",")[0].partition(" (")[0], published.dataset, "val", published.rule, published.source,
        name=name, PQ=published.PQ, mIoU=published.mIoU, input=size,
    )  # fmt: skip


def spec_row(spec: ModelSpec) -> PublishedRow:
    """Return the published row of a resolved model. Raises UsageError if its checkpoint has none."""
    name = f"{spec.name}/{spec.checkpoint}"
    if spec.published is None:
        raise UsageError(f"{name}: has no `published` result; `bench ledger` lists the checkpoints that have one")
    return checkpoint_row(name, spec.name, spec.published, spec.input)


def ledger(file: PublishedFile, runs: Sequence[Run], results: Path, dataset: str | None = None) -> list[Entry]:
    """Return an entry a row. A row is measured by the newest complete run of its checkpoint on all images of its split.

    Runs that ledger.json lists come first. `dataset` is `coco` or `coco:val`.
    """
    notes = read_notes(results).runs
    rows = [row for row in file.rows if dataset in (None, row.dataset, f"{row.dataset}:{row.split}")]
    return [entry(row, file.splits.get(f"{row.dataset}:{row.split}"), runs, results, notes) for row in rows]


def entry(
    row: PublishedRow, images: int | None, runs: Sequence[Run], results: Path, notes: Mapping[str, RunNote]
) -> Entry:
    """Return the entry of one row; `images` is the size of its split, None if unknown."""
    if reason := not_comparable(row, images):
        return Entry(row, "not measured", reason)
    named = [run for run in runs if _checkpoint(run) == row.name and run.dataset == f"{row.dataset}:{row.split}"]
    whole = [run for run in named if run.score.images == images]
    if not whole:
        most = max((run.score.images for run in named), default=0)
        return Entry(row, "not measured", f"runs of {most} of {images} images" if named else "no run")
    by_rule = [run for run in whole if pq_under_rule(run, row.rule) is not None]
    if not by_rule:
        return Entry(row, "not measured", f"its runs are not measured under the rule {row.rule}")
    run = max(by_rule, key=lambda run: (_below(run, results) in notes, run.complete.finished))
    return _compared(row, run, notes.get(_below(run, results)))


def not_comparable(row: PublishedRow, images: int | None) -> str:
    """Return why no run can be compared with a row, or ""."""
    if row.PQ is None:
        return "no PQ is published"
    if row.rule == "unknown":
        return "the source names no evaluator, so that the number is not compared"
    if not row.name:
        return "no checkpoint here has these weights"
    return "" if images else f"the number of images of {row.dataset}:{row.split} is not listed"


def pq_under_rule(run: Run, rule: PublishedRule) -> float | None:
    """Return the PQ of a complete run under a rule of published numbers; None if it is unknown.

    Under another rule than its own it is computed from the stored lines.
    """
    if rule == run.score.protocol:
        return run.score.PQ.all.PQ
    return None if rule == "unknown" else rule_tables(run.lines(), run.categories)[rule].groups.all.PQ


def _compared(row: PublishedRow, run: Run, note: RunNote | None) -> Entry:
    measured = pq_under_rule(run, row.rule)
    assert measured is not None and row.PQ is not None
    found = Estimate(measured - row.PQ, None, None)
    # The stored sums that are resampled are those of the run's own rule.
    if row.rule == run.score.protocol:
        (draws,) = resample([run_sums(run)], replicates=REPLICATES, of=mean_pq, needs=PQ_PARTS)
        (found,) = estimates(np.array([measured - row.PQ]), draws - row.PQ)
    settings = other_settings(row, run)
    explanation = (note.note if note else "") or row.note
    close = abs(measured - row.PQ) <= CLOSE + 1e-9
    verdict: Verdict = "within 0.1" if close else "explained" if explanation else "unexplained"
    return Entry(row, verdict, "; ".join([*filter(None, [explanation]), *settings]), measured, found, str(run.folder))


def other_settings(row: PublishedRow, run: Run) -> list[str]:
    """Return the settings of a run that are not those of its checkpoint."""
    model = run.meta.model
    assert isinstance(model, ModelRecord)
    size = (model.input.shorter, model.input.longer)
    found = []
    if row.input is not None and size != (row.input.shorter, row.input.longer):
        found.append(f"run at {size[0]}×{size[1]}, not {row.input.shorter}×{row.input.longer}")
    if model.precision != "fp32":
        found.append(f"run in {model.precision}")
    return found


def _checkpoint(run: Run) -> str:
    model = run.meta.model
    return f"{model.name}/{model.checkpoint}" if isinstance(model, ModelRecord) else ""


def _below(run: Run, results: Path) -> str:
    folder = run.folder.resolve()
    return folder.relative_to(results.resolve()).as_posix() if folder.is_relative_to(results.resolve()) else ""


def read_notes(results: Path) -> NotesFile:
    path = results / NOTES
    return read_record(path, NotesFile, "correct it, or remove it") if path.is_file() else NotesFile()


def write_note(run: Run, results: Path, checkpoint: str, note: str) -> Path:
    """Write a run into ledger.json of a results folder; without a note an older one is kept."""
    notes, path, key = dict(read_notes(results).runs), results / NOTES, _below(run, results)
    notes[key] = RunNote(checkpoint, note or (notes[key].note if key in notes else ""))
    write_json(path, {"runs": {folder: asdict(entry) for folder, entry in notes.items()}})
    return path
