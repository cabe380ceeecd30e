"""Where the numbers of a page come from: a column a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from bench.config import digest
from bench.ledger import lines_digest
from bench.report.page.runs import RunView
from bench.results import Run

NONE = "–"


def origin_rows(views: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Name and a text for each run; what none of them tells is left out."""
    columns = [_facts(view) for view in views]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, [column.get(name) or NONE for column in columns]) for name in names]
    return [row for row in rows if set(row[1]) != {NONE}]


def _facts(view: RunView) -> dict[str, str]:
    meta = view.run.meta
    about = meta.get("provenance") or {}
    return {
        "Model": " / ".join(str(view.row[name]) for name in ("name", "checkpoint", "method") if view.row[name]),
        "Weights": str(meta["model"].get("weights") or ""),
        "Predictions": str(meta["model"].get("predictions") or ""),
        "Input (px)": str(view.row["input"] or ""),
        "Fusion": str(view.row["fusion"] or ""),
        "Device": " / ".join(str(view.row[name]) for name in ("device", "precision") if view.row[name]),
        "Data": f"{view.run.dataset}, {view.score['images']} images, ids {meta['dataset'].get('image_ids', NONE)}",
        "Truth and rules": digest((view.run.done or {}).get("key", {})),
        "Protocol": f"{view.score['protocol']}; departs from panopticapi: "
        + ("; ".join(view.score["reference_deviations"]) or "nowhere"),
        "Stored lines": stored_lines(view.run),
        "Commit": str(view.row["commit"] or ""),
        "Finished": str((view.run.done or {}).get("finished", "")),
        "Machine": ", ".join(str(about[name]) for name in ("processor", "platform") if about.get(name)),
        "Packages": _packages(about),
        "Command": shlex.join(meta.get("command") or []),
        "Folder": str(view.run.folder),
    }


def stored_lines(run: Run) -> str:
    """Whether the image lines are those that the totals were made of."""
    lines = list(run.lines())
    if not lines:
        return "not at hand"
    intact = lines_digest(lines) == (run.done or {}).get("images_sha256")
    return f"{len(lines)} images, {'intact' if intact else 'CHANGED since they were scored'}"


def _packages(about: Mapping[str, Any]) -> str:
    named = {"panoptic-bench": about.get("bench"), "Python": about.get("python"), **(about.get("packages") or {})}
    return ", ".join(f"{name} {version}" for name, version in named.items() if version)


def label_maps(views: Sequence[RunView]) -> list[dict[str, Any]]:
    """The label maps that stand between models, data and scores: of the data set, and of each run's predictions."""
    found: dict[str, dict[str, Any]] = {}
    for view in views:
        meta = view.run.meta
        kinds = (("truth", meta["dataset"].get("label_map")), (f"predictions of {view.label}", meta.get("label_map")))
        for of, labels in kinds:
            if labels:
                entry = found.setdefault(labels["sha256"], {"of": [], **_audit(labels, view)})
                entry["of"] += [of] if of not in entry["of"] else []
    return list(found.values())


def _audit(labels: Mapping[str, Any], view: RunView) -> dict[str, Any]:
    """Classes of the scored space, what becomes each, and those that nothing becomes."""
    names: Mapping[str, str | None] = labels["names"]
    support = {row["name"]: row["TP"] + row["FN"] for row in view.score["per_class"]}
    origins = {c.name: [a for a, b in names.items() if b == c.name] for c in view.run.categories}
    return {
        "sha256": labels["sha256"],
        "rows": [(name, origin, support[name]) for name, origin in origins.items()],
        "void": [a for a, b in names.items() if b is None],
        "unreachable": [name for name, origin in origins.items() if not origin],
    }
