"""Resuming an interrupted run after its data were repaired: lines of unchanged batches move to the new run.

Repairing one image changes the content digest, and so the folder, of the run. Batches whose images and ground truth
are byte-identical need not be computed again.
"""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.io.files import read_json, read_lines, write_atomic
from bench.results.line_digests import json_line
from bench.results.shards import Shard
from bench.types import Sample

INPUTS = "inputs.json"  # image id → digest of its picture and truth; there until the run is finished


def take_over(folder: Path, settings: str, inputs: Mapping[str, str], batch_size: int) -> None:
    """Rename an interrupted run beside `folder` with the same `settings` to `folder`, keeping the lines that are valid.

    `settings` is the digest of its identity without the content, `inputs` image id → digest, in data set order.
    Lines of a batch with a changed image are dropped. Nothing happens if there is no such run, if fewer than half of
    the images are in unchanged batches, or if another process is writing it.
    """
    if folder.exists():
        return
    for found in sorted(path.parent for path in folder.parent.glob(f"*/{INPUTS}")):
        with suppress(DataError, OSError), ExitStack() as locks:
            if (found / "done.json").exists() or read_json(found / "run.json").get("settings") != settings:
                continue
            keep = _unchanged(read_json(found / INPUTS), inputs, batch_size)
            # With most images changed these are other data, and their run stays where it is.
            if 2 * len(keep) < len(inputs):
                continue
            # Another process may be writing the run; its lock is then refused, and the run is left alone.
            for lock in found.glob(".lock*"):
                fcntl.flock(locks.enter_context(lock.open("w")), fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in (*found.glob("images-*.jsonl"), *found.glob("timings-*.jsonl")):
                _rewrite(path, [line for line in read_lines(path) if line["image_id"] in keep])
            # The new run writes its own run.json, with the new identity.
            (found / "run.json").unlink()
            found.rename(folder)
            return


def drop_changed(
    folder: Path, shard: Shard, samples: Sequence[Sample], changed: Collection[str], batch_size: int
) -> set[str]:
    """Drop the lines of all batches that use a file in `changed`; return the image ids of the dropped lines."""
    files = {s.image_id: {str(file) for file in (*s.target_files, s.image_file)} for s in samples}
    now = {name: "changed" if own & set(changed) else "" for name, own in files.items()}
    keep = _unchanged(dict.fromkeys(now, ""), now, batch_size)
    dropped = set()
    # Timings first: a line without a timing is complete, a timing without a line fails verification.
    for kind in ("timings", "images"):
        path = folder / f"{kind}-{shard.name}.jsonl"
        lines = list(read_lines(path))
        _rewrite(path, [line for line in lines if line["image_id"] in keep])
        dropped = {str(line["image_id"]) for line in lines} - keep
    return dropped


def _unchanged(before: Mapping[str, str], inputs: Mapping[str, str], batch_size: int) -> set[str]:
    """Return the image ids whose batch has the same input digests as `before`."""
    # Whole batches: padding makes the prediction of an image depend on the others in its batch.
    order = list(inputs)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    same = [batch for batch in batches if all(before.get(name) == inputs[name] for name in batch)]
    return {name for batch in same for name in batch}


def _rewrite(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    with write_atomic(path) as temporary:
        temporary.write_text("".join(f"{json_line(line)}\n" for line in lines), encoding="utf-8")
