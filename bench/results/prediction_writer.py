"""Writing of the predictions of a run: as COCO panoptic files, by copies or links of such files, or by reference."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.io.coco_writer import coco_categories, write_panoptic
from bench.io.files import open_append, read_lines, write_atomic, write_json
from bench.io.images import write_png
from bench.results.predictions import PNG_FOLDER, CocoFiles, PngFolder, safe_file_stem
from bench.results.shards import WHOLE, Shard
from bench.types import Categories, Panoptic, Prediction


class PredictionWriter:
    """Writes predictions into a folder. Thread-safe."""

    def __init__(self, folder: Path, *, shard: Shard = WHOLE, fresh: bool = False) -> None:
        self.folder = folder
        annotations = folder / ("annotations.jsonl" if shard == WHOLE else f"annotations-{shard.name}.jsonl")
        if fresh:
            annotations.unlink(missing_ok=True)
        (folder / "semantic").mkdir(parents=True, exist_ok=True)
        self._annotations = open_append(annotations)
        self._lock = threading.Lock()

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, *error: object) -> None:
        # Every line was flushed: an error here, as of a full disk, was raised by `write` already.
        with suppress(OSError):
            self._annotations.close()

    def write(self, image_id: str, prediction: Prediction) -> None:
        """Write the panoptic PNG, the semantic PNG and the annotation, in this order."""
        annotation = self._write_png(image_id, prediction.panoptic)
        if prediction.semantic is not None:
            dtype = np.uint8 if prediction.semantic.max(initial=0) < 256 else np.uint16
            target = self.folder / "semantic" / f"{safe_file_stem(image_id)}.png"
            write_png(target, prediction.semantic.astype(dtype))
        # Threads write PNGs in parallel, but lines of one file must not interleave.
        with self._lock:
            self._annotations.write(json.dumps(annotation) + "\n")
            self._annotations.flush()

    def keep(self, found: Mapping[str, CocoFiles], *, link: bool) -> str:
        """Keep COCO panoptic files as they are, as copies or hard links, in place of what was kept before.

        Return why they are copies in place of links, or "".
        """
        self._forget()
        reason = ""
        for image_id, files in found.items():
            name = f"{safe_file_stem(image_id)}.png"
            places = [(files.png, self.folder / name), (files.semantic, self.folder / "semantic" / name)]
            for source, target in places:
                if source is not None:
                    reason = reason or (_link(source, target) if link else "")
                    if reason or not link:
                        _copy(source, target)
            self._annotate(image_id, files, name)
        self._annotations.flush()
        return reason

    def refer(self, found: Mapping[str, CocoFiles], folder: PngFolder) -> None:
        """Keep the annotations and the folder of the PNGs, in place of what was kept before."""
        self._forget()
        write_json(self.folder / PNG_FOLDER, vars(folder))
        for image_id, files in found.items():
            self._annotate(image_id, files, files.panoptic.annotation["file_name"])
        self._annotations.flush()

    def _forget(self) -> None:
        (self.folder / PNG_FOLDER).unlink(missing_ok=True)
        self._annotations.truncate(0)

    def _annotate(self, image_id: str, files: CocoFiles, name: str) -> None:
        annotation = {**files.panoptic.annotation, "image_id": image_id, "file_name": name}
        self._annotations.write(json.dumps(annotation) + "\n")

    def _write_png(self, image_id: str, panoptic: Panoptic) -> dict[str, Any]:
        name = f"{safe_file_stem(image_id)}.png"
        annotation = write_panoptic(self.folder / name, panoptic)
        return {**annotation, "image_id": image_id, "file_name": name}

    def finish(self, order: Iterable[str], categories: Categories) -> None:
        """Write predictions.json in data set order from the annotations of all shards.

        Do nothing if an image is missing.
        """
        files = sorted(self.folder.glob("annotations*.jsonl"))
        by_id = {str(line["image_id"]): line for file in files for line in read_lines(file)}
        order = list(order)
        # An earlier part of the run may have been made with --no-save-predictions.
        if not set(order) <= set(by_id):
            return
        ordered = [by_id[image_id] for image_id in order]
        whole = {"annotations": ordered, "categories": coco_categories(categories)}
        # In one line, since json indents in Python, ten times as slowly.
        write_json(self.folder / "predictions.json", whole, indent=None)


def _copy(source: Path, target: Path) -> None:
    # By a new file: the target may be a hard link to a file of the user.
    with write_atomic(target) as temporary:
        shutil.copyfile(source, temporary)


def _link(source: Path, target: Path) -> str:
    """Make a hard link, and return ""; return the reason if the file system does not allow it."""
    try:
        with write_atomic(target) as temporary:
            # os.link would link a symbolic link itself.
            os.link(source.resolve(), temporary)
    except OSError as error:
        return error.strerror or str(error)
    return ""
