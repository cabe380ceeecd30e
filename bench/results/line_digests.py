"""What the lines of a run are known by: their checksum, and the truth that they were scored on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from bench.errors import DataError
from bench.io.canonical_json import digest
from bench.overlap import Overlap

Line = Mapping[str, Any]  # what "overlap" holds is an Overlap, or the JSON of one


def lines_digest(lines: Iterable[Line]) -> str:
    """sha256 over the image lines in image-id order."""
    return digests_of(lines).digest()


def digests_of(lines: Iterable[Line]) -> LineDigests:
    """What lines are known by that nobody else reads."""
    digests = LineDigests()
    for line in lines:
        digests.read(line)
    return digests


class LineDigests:
    """What a run's lines are known by, noted while somebody reads or writes them."""

    def __init__(self) -> None:
        self._digests: list[tuple[str, bytes]] = []
        self._truth: dict[str, str] = {}

    def add(self, image_id: str, truth: str, text: str) -> None:
        """An image, what its truth is known by, and its line as `json_line` has it."""
        self._digests.append((image_id, hashlib.sha256(text.encode()).digest()))
        self._truth[image_id] = truth

    def read(self, line: Line) -> None:
        """A line that was stored."""
        self.add(str(line["image_id"]), str(line.get("truth")), json_line(line))

    def digest(self) -> str:
        """sha256 over the lines in image-id order."""
        hasher = hashlib.sha256()
        for _, line_digest in sorted(self._digests):
            hasher.update(line_digest)
        return hasher.hexdigest()

    def comparability_key(self, order: list[str], rules: Mapping[str, Any]) -> dict[str, Any]:
        """What two runs must share to be ranked together: the truth as scored, and the rules."""
        if set(self._truth) != set(order):
            strange = sorted(set(self._truth) ^ set(order))[0]
            where = "is in the run or in the data set, but not in both"
            raise DataError(f"image {strange!r} {where}; repeat the run with --overwrite")
        return {"truth": digest([(image_id, self._truth[image_id]) for image_id in order]), **rules}


def json_line(value: Any) -> str:
    """`canonical_json` of what is JSON already, but for overlaps: a line is long, and written and checked for every
    image."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=Overlap.to_json
    )
