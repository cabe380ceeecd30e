"""Required structure of run.json and done.json, as schemas of `bench.io.json_schema`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the rest of the tool reads of run.json and done.json; more may stand there.
NUMBER = (None, float)
CATEGORY = {"id": int, "name": str, "isthing": (bool, int), "color": [int]}
MODEL = {
    "method": str, "checkpoint": str, "precision": str, "input": {"shorter": int, "longer": int},
    "fusion": {"rule": str}, "published": (None, {"dataset": str, "PQ": NUMBER, "source": (None, str)}),
}  # fmt: skip
META = {
    "name": str, "model": ({"predictions": str}, MODEL),
    "dataset": {"name": str, "split": str, "categories": [CATEGORY]},
}  # fmt: skip
DESCRIBED: Mapping[str, Any] = {
    "rules": {},
    "parameters": (None, int), "multiply_adds": (None, int), "device": (None, str), "threads": (None, int),
    "provenance": {"git": (None, {"commit": str, "dirty": bool})},
}  # fmt: skip
QUALITY = {"PQ": NUMBER, "SQ": NUMBER, "RQ": NUMBER}
KINDS = {"semantic": NUMBER, "panoptic": NUMBER}
CLASS = {"category_id": int, "name": str, "isthing": bool, **QUALITY, "TP": int, "FP": int, "FN": int, "IoU": KINDS}
SCORE = {
    "PQ": {group: {**QUALITY, "n": int} for group in ("all", "things", "stuff")},
    "mIoU": KINDS, "per_class": [CLASS], "images": int, "protocol": str,
}  # fmt: skip
SCORED_TOO: Mapping[str, Any] = {"pixel_accuracy": KINDS, "frequency_weighted_IoU": KINDS}  # older runs lack them
DONE = {"finished": str, "images_sha256": str, "score": SCORE}
