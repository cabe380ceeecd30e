"""Settings of a folder given by --checkpoint: its classes, input size and fusion."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.datasets.label_spaces import load_space, space_name
from bench.errors import ModelError, UsageError
from bench.io import files
from bench.io.config import load_yaml
from bench.models.model_file import Checkpoint, CheckpointFolder, ModelFile

NOTE, CONFIG = "bench.json", "config.json"
MAX_CONFIG = 1 << 24  # bytes
DETR_COLUMNS, DETR_CLASSES = 250, 133  # a DETR of COCO has a column for every category id

Kind = CheckpointFolder | Checkpoint


def settings_for_folder(
    file: ModelFile, folder: Path, usual: str | None, names: Collection[str], *, ships: bool = False
) -> Kind:
    """Return the folder's bench.json, written by training, else the settings of the family that fit the folder.

    Candidates of the family, in order: its `folders` entry for one of the data sets `names`, its `usual` checkpoint
    there, then other checkpoints, those with the same label space first. For a shipped family (`ships`) the small
    networks inside the package are no candidates. The folder's config.json filters candidates by number of classes, and
    prefers one with its square input size. Raises UsageError without candidates, ModelError if none fits.
    """
    note = folder / NOTE
    if note.is_file():
        return load_yaml(note, CheckpointFolder)
    known = list(_known(file, usual, names, ships))
    if not known:
        raise UsageError(f"{folder}: the model's YAML has no settings for a folder of your own; {_write(folder)}")
    config = _config(folder)
    count = _classes(config)
    fitting = [kind for kind in known if count is None or _fits(kind, count)]
    if not fitting:
        spaces = " and ".join(dict.fromkeys(space_name(kind.categories) for kind in known))
        raise ModelError(
            f"{folder}: its {CONFIG} has {count} classes, and the model's YAML has settings for {spaces} alone; is it "
            f"a checkpoint of another data set? Otherwise {_write(folder)}"
        )
    return next((kind for kind in fitting if _is_square(kind, config.get("image_size"))), fitting[0])


def family_of(folder: Path) -> str:
    """Return the model family of a folder that training wrote. Raises UsageError if its bench.json names none."""
    note = folder / NOTE
    family = load_yaml(note, CheckpointFolder).model if note.is_file() else ""
    if not family:
        raise UsageError(f"{folder}: no {NOTE} here that names a model; give --model FAMILY --checkpoint {folder}")
    return family


def _known(file: ModelFile, usual: str | None, names: Collection[str], ships: bool) -> Iterator[Kind]:
    yield from (file.folders[name] for name in names if name in file.folders)
    whole = {name: known for name, known in file.checkpoints.items() if known.parts is None}
    like = {name: known for name, known in whole.items() if not (ships and known.path)}
    if usual in like:
        yield like[usual]
    others: Sequence[Kind] = [*like.values(), *file.folders.values()]
    space = whole[usual].categories if usual in whole else None
    yield from sorted(others, key=lambda kind: kind.categories != space)


def _config(folder: Path) -> Mapping[str, Any]:
    """Return the content of config.json, or {} if it cannot be read; loading the model raises that error."""
    with suppress(OSError, ValueError):
        said = files.loads_strict(files.read_bytes(folder / CONFIG, MAX_CONFIG))
        return said if isinstance(said, dict) else {}
    return {}


def _classes(config: Mapping[str, Any]) -> int | None:
    names = config.get("id2label")
    return len(names) if isinstance(names, dict) and names else None


def _fits(kind: Kind, count: int) -> bool:
    classes = len(load_space(kind.categories).evaluated)
    return classes == count or (classes, count) == (DETR_CLASSES, DETR_COLUMNS)


def _is_square(kind: Kind, side: object) -> bool:
    return kind.input is not None and (kind.input.shorter, kind.input.longer) == (side, side)


def _write(folder: Path) -> str:
    return f'write {folder / NOTE}: {{"categories": "LABEL_SPACE", "input": {{"shorter": PX, "longer": PX}}}}'
