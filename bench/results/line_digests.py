"""Checksum and comparability key of a run, from digests of its image lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import orjson

from bench.errors import DataError
from bench.io.canonical_json import digest
from bench.overlap import Overlap

FAST = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
Line = Mapping[str, Any]  # "overlap" is an Overlap or its JSON


def lines_digest(lines: Iterable[Line]) -> str:
    """Return the sha256 (hex) over the image lines in image-id order."""
    return digests_of(lines).digest()


def digests_of(lines: Iterable[Line]) -> LineDigests:
    """Return the digests of lines that are not scored at the same time."""
    digests = LineDigests()
    for line in lines:
        digests.read(line)
    return digests


class LineDigests:
    """Digests of image lines and of their ground truths, collected in any order."""

    def __init__(self) -> None:
        self._digests: list[tuple[str, bytes]] = []
        self._truth: dict[str, str] = {}

    def add(self, image_id: str, truth: str, text: str) -> None:
        """Add an image: `truth` is the digest of its ground truth, `text` its line as written by `json_line`."""
        self._digests.append((image_id, hashlib.sha256(text.encode()).digest()))
        self._truth[image_id] = truth

    def read(self, line: Line) -> None:
        self.add(str(line["image_id"]), str(line.get("truth")), json_line(line))

    def digest(self) -> str:
        """Return the sha256 (hex) over the lines in image-id order."""
        hasher = hashlib.sha256()
        # In the order of the image ids, so that threads and shards, which append in any order, give one checksum.
        for _, line_digest in sorted(self._digests):
            hasher.update(line_digest)
        return hasher.hexdigest()

    def comparability_key(self, order: list[str], rules: Mapping[str, Any]) -> dict[str, Any]:
        """Return what two runs must share to be ranked together: the digest of the ground truth, and the rules.

        `order` is the image ids of the data set. Raises DataError if the lines are of other images.
        """
        if set(self._truth) != set(order):
            strange = sorted(set(self._truth) ^ set(order))[0]
            where = "the run" if strange in self._truth else "the data set"
            raise DataError(f"image {strange!r} is only in {where}; repeat the run with --overwrite")
        return {"truth": digest([(image_id, self._truth[image_id]) for image_id in order]), **rules}


def json_line(value: Any) -> str:
    """Return `canonical_json` of an image line, faster: its content is JSON-ready except for Overlap objects."""
    overlap = value.get("overlap") if isinstance(value, dict) else None
    if isinstance(overlap, Overlap) and "boundary" not in value and _same_in_orjson(overlap):
        rows = {**overlap.segments_to_json(), "pairs": np.ascontiguousarray(overlap.table)}
        # A string that is no UTF-8 is left to json.
        with suppress(TypeError):
            return orjson.dumps({**value, "overlap": rows}, option=FAST).decode()
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=Overlap.to_json
    )


def _same_in_orjson(overlap: Overlap) -> bool:
    """Return whether json and orjson write the numbers of an overlap alike: not fractions with an exponent, nor NaN."""
    numbers = [*(s.score for s in overlap.predicted), *(s.declared_area for s in overlap.truth)]
    return all(n is None or type(n) is int or 1e-4 <= abs(n) < 1e15 for n in numbers)
