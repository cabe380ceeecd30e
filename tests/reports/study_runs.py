"""A study of toy runs with made-up logs, for the tests of its page. Names that may be hostile are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from page_runs import EVIL, run_of
from report_runs import MODEL

from bench.analysis.study import Contrast, ExtraDataset, Quick, Study, StudyOutcome, TrainedSeed, Training
from bench.errors import ModelError
from bench.io.hashing import folder_digest

ARMS = {"base": (0, 1), "worse": (3, 4), "alone": (2,)}  # how much worse each seed is


def study_of(arms: dict[str, Sequence[int]]) -> Study:
    trainings = tuple(
        Training(name, "toy-base", {} if name == "base" else {"optimizer.clip_norm": EVIL}, tuple(range(len(worse))))
        for name, worse in arms.items()
    )
    contrasts = tuple(Contrast(f"{EVIL} {name}", ("base", name)) for name in arms if name != "base")
    return Study(
        f"A study of {EVIL}", "toy", trainings, contrasts, (ExtraDataset("base", "toy-else"),),
        quick=Quick(4, {"steps": 3}), notes=(f"Of {EVIL}.",),
    )  # fmt: skip


def write_log(folder: Path, steps: int, level: float) -> Path:
    """Weights, a recipe and a log with PQ and held-back loss at every fourth step."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "recipe.json").write_text(json.dumps({"steps": steps, "level": level}))
    rows = [
        {"step": k, "seconds": 2.0 * k, "loss": level + 9 * math.exp(-k / 15), "PQ": None if k % 4 else 0.3 * k / steps,
         "held_back_terms": {} if k % 4 else {"class": level, "mask": 8 * math.exp(-k / 20)}}
        for k in range(1, steps + 1)
    ]  # fmt: skip
    (folder / "training.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def outcome(
    folder: Path, arms: dict[str, Sequence[int]] = ARMS, quick: bool = False, fail: bool = False
) -> StudyOutcome:
    """What a study of these arms would leave; with `fail` a further seed failed."""
    trained = []
    for name, worse in arms.items():
        for seed, much in enumerate(worse):
            weights = write_log(folder / "trainings" / name / f"seed-{seed}", 40, 2.0 + 0.3 * much)
            model = {**MODEL, "source": str(weights), "local": True, "weights": folder_digest(weights)}
            run = run_of(folder / "runs" / f"{name}-{seed}", "detr", much, keep=False, model=model)
            runs = {"toy": run, **({"toy-else": run} if name == "base" else {})}
            trained.append(TrainedSeed(name, seed, weights, runs))
    if fail:
        trained.append(TrainedSeed("alone", 9, folder, {}, (ModelError(f"no room for {EVIL}"),)))
    return StudyOutcome(study_of(arms), folder / "out", quick, tuple(trained))
