"""The table of shipped models in the documentation: one row per checkpoint, from configs/models."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from bench.datasets.label_spaces import space_name
from bench.models.model_file import Checkpoint, ModelFile

COLUMNS = (
    "model",
    "framework",
    "way",
    "classes",
    "weights",
    "published PQ",
    "rule",
    "source",
    "licence",
    "tested here",
)
FRAMEWORKS = {
    "transformers_models": "transformers",
    "mmdet_models": "mmdetection 3.x",
    "detectron2_models": "detectron2",
}
HEAD = """\
# Models

Generated from `configs/models` by `bench models --format md`. A published PQ is the authors' or the framework's own,
at their test scale; nothing in this table was measured here. Its rule is the evaluator that computed it: *coco* is
panopticapi, *eomt* EoMT's own validation, which counts areas and crowd regions otherwise. Numbers of two rules do not
compare; [numbers.md](numbers.md) says how the rules differ.
"""


def model_page(files: Mapping[str, ModelFile]) -> str:
    """Return the page as Markdown: one row per checkpoint, then the methods without a shipped model."""
    rows = [row(name, label, file, c) for name, file in files.items() for label, c in file.checkpoints.items()]
    lines = ["| " + " | ".join(cells) + " |" for cells in (COLUMNS, [":--"] * len(COLUMNS), *rows)]
    ways = typing.get_args(typing.get_type_hints(ModelFile)["method"])
    absent = [way for way in ways if way and way not in {file.method for file in files.values()}]
    tail = [f"No model that ships here takes the way *{way}*." for way in absent]
    return "\n".join([HEAD, *lines, *([""] if tail else []), *tail]) + "\n"


def row(name: str, label: str, file: ModelFile, checkpoint: Checkpoint) -> list[str]:
    """Return the cells of a checkpoint; missing values are dashes."""
    published = checkpoint.published
    module = file.adapter.partition(":")[0]
    return [
        f"`{name}/{label}`",
        FRAMEWORKS.get(module, "ours"),
        file.method,
        space_name(checkpoint.categories),
        weights(checkpoint),
        f"{100 * published.PQ:.1f} on {published.dataset}" if published else "–",
        published.rule if published else "–",
        published.source if published else "–",
        file.licence or "–",
        file.tested or "–",
    ]


def weights(checkpoint: Checkpoint) -> str:
    if checkpoint.url:
        return f"[{checkpoint.url.rpartition('/')[2]}]({checkpoint.url})"
    if checkpoint.repo:
        return f"[{checkpoint.repo}](https://huggingface.co/{checkpoint.repo})"
    return "shipped" if checkpoint.path else "of two models" if checkpoint.parts else "none"


# Beginnings of licences that allow commercial use of the weights. The terms of each are for the user to read.
COMMERCIAL = ("Apache-2.0", "MIT", "BSD", "CC BY 4.0", "CC BY-SA", "CC0", "this project's")


def commercial_refusal(files: Mapping[str, ModelFile], name: str, label: str) -> str:
    """Return why the weights of a checkpoint may not be used commercially, by the `licence` of its YAML, or "".

    A licence that is not known is a refusal.
    """
    checkpoint = files[name].checkpoints.get(label) if name in files else None
    if checkpoint is None:
        return "its licence is not known: it is no checkpoint of the shipped models"
    if checkpoint.parts is not None:
        parts = (checkpoint.parts.semantic, checkpoint.parts.instances)
        found = [commercial_refusal(files, part.model, part.checkpoint or "") for part in parts]
        return next((f"part {part.model}: {why}" for part, why in zip(parts, found, strict=True) if why), "")
    # "MIT (the authors' code), CC BY-NC 4.0 (their weights); the tiny one this project's"
    authors, _, _ = (files[name].licence or "").partition(";")
    licence = "this project's" if checkpoint.path else authors.rpartition(", ")[2]
    if licence.startswith(COMMERCIAL):
        return ""
    return f"its weights are {licence}" if "NC" in licence else f"its licence ({licence or 'none given'}) is not known"
