"""Columns of the stored lines of a complete run, read once and kept in the cache.

The cache file of a run is named by the content of its lines, so that changed lines are read anew.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.io.files import cache_folder, read_lines, write_atomic
from bench.io.hashing import ABSENT, FileDigests
from bench.metrics.columns import BoundaryColumns, Columns, PairColumns, PredictedColumns, TruthColumns
from bench.results.line_digests import Line, LineDigests
from bench.types import Categories

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1  # goes up with every change of the columns
# The oldest files are deleted beyond that; a run of 5,000 images needs about 7 MB.
MOST_BYTES = 1 << 30
TABLES: Mapping[str, Any] = {
    "truth": TruthColumns, "predicted": PredictedColumns, "pairs": PairColumns, "boundary": BoundaryColumns
}  # fmt: skip


class StoredLines(NamedTuple):
    """Columns of the lines of a run, and the sha256 of the lines as in done.json."""

    columns: Columns
    sha256: str


def read_columns(path: Path, categories: Categories) -> StoredLines:
    """Return the columns of the image lines in a file. Raise DataError, naming the image, if a line is broken."""
    (content,) = FileDigests().of([path])
    cached = cache_folder() / "columns" / f"{content[:40]}-{len(categories)}-{FORMAT}.npz"
    # The cache is optional: without it, or where it is broken or cannot be written, the lines are read.
    if content != ABSENT:
        with suppress(OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return _load(cached)
    digests = LineDigests()
    found = StoredLines(Columns.of(_digested(path, digests), categories), digests.digest())
    if content != ABSENT and FileDigests().of([path]) == [content]:
        with suppress(OSError):
            _save(cached, found)
    return found


def to_frame(columns: Columns, table: Literal["truth", "predicted", "pairs"]) -> pd.DataFrame:
    """Return the segments of one side, or the pixels that two segments share, as a pandas frame.

    Segments are numbered from 1 in each image, as in its line; 0 is void. Columns: image_id, group; segment,
    category_id, area, and declared_area and iscrowd or score; of pairs truth, predicted, pixels. Raises UsageError for
    another table.
    """
    import pandas as pd  # imported here, since it takes half a second

    found: dict[str, NDArray[Any]]
    if table == "pairs":
        image = columns.truth.image[columns.pairs.truth]
        numbers = (
            rows - np.searchsorted(side.image, side.image[rows])
            for side, rows in ((columns.truth, columns.pairs.truth), (columns.predicted, columns.pairs.predicted))
        )
        found = dict(zip(("truth", "predicted", "pixels"), (*numbers, columns.pairs.pixels), strict=True))
    elif table in ("truth", "predicted"):
        side = columns.truth if table == "truth" else columns.predicted
        rows = np.flatnonzero(side.category_id >= 0)
        found = {name: column[rows] for name, column in side._asdict().items()}
        image = found.pop("image")
        found = {"segment": rows - np.searchsorted(side.image, image), **found}
    else:
        raise UsageError(f"no rows {table!r:.40}; they are classes, truth, predicted and pairs")
    names = {"image_id": columns.image_ids, "group": columns.groups}
    return pd.DataFrame({name: np.array(texts, dtype=object)[image] for name, texts in names.items()} | found)


def _digested(path: Path, digests: LineDigests) -> Iterator[Line]:
    for line in read_lines(path):
        digests.read(line)
        yield line


def _save(path: Path, found: StoredLines) -> None:
    columns = found.columns
    about = {"image_ids": columns.image_ids, "groups": columns.groups, "sha256": found.sha256}
    arrays: dict[str, NDArray[Any]] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "semantic": columns.semantic,
    }
    arrays |= {name: getattr(columns, name) for name in ("has_overlap", "has_semantic", "has_boundary")}
    arrays |= {
        f"{table}.{name}": array for table in TABLES for name, array in getattr(columns, table)._asdict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{name: _narrow(array) for name, array in arrays.items()})
    files = sorted(path.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > MOST_BYTES and file != path:
            file.unlink(missing_ok=True)


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """Return int64 in the narrowest type that holds it."""
    if array.dtype != np.int64 or not array.size:
        return array
    return array.astype(np.promote_types(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))


def _load(path: Path) -> StoredLines:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        arrays: Mapping[str, NDArray[Any]] = {name: _wide(stored[name]) for name in stored.files}
    about = json.loads(arrays["about"].astype(np.uint8).tobytes())
    tables = {
        table: kind(**{name: arrays[f"{table}.{name}"] for name in kind._fields}) for table, kind in TABLES.items()
    }
    columns = Columns(
        tuple(about["image_ids"]), tuple(about["groups"]),
        arrays["has_overlap"], arrays["has_semantic"], arrays["has_boundary"],
        tables["truth"], tables["predicted"], tables["pairs"], tables["boundary"], arrays["semantic"],
    )  # fmt: skip
    return StoredLines(columns, about["sha256"])


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.int64) if array.dtype.kind in "iu" else array
