"""Predictions for images without labels: COCO panoptic files, and a visualization of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.datasets.corruptions import Corruption
from bench.errors import DataError, ModelError, UsageError, describe_error
from bench.io.pictures import Pictures
from bench.models.adapter import Adapter
from bench.reports.pictures import predicted_page, write
from bench.results.prediction_writer import PredictionWriter
from bench.results.predictions import safe_file_stem
from bench.types import Categories, Image, Prediction, ProgressCallback

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")


def image_files(places: Sequence[Path]) -> list[Path]:
    """Return the given images, and those directly inside the given folders by name, in the order of `places`.

    Raises UsageError if a path is neither an image file nor a folder with images.
    """
    found: list[Path] = []
    for place in places:
        below = [place]
        if place.is_dir():
            below = [p for p in sorted(place.iterdir()) if p.suffix.lower() in SUFFIXES and not p.is_dir()]
        if not below or not below[0].is_file():
            raise UsageError(
                f"{place}: no image here; name an image file, or a folder with files that end in {', '.join(SUFFIXES)}"
            )
        found += below
    return found


def left_out(places: Sequence[Path], files: Sequence[Path]) -> str:
    """Return a sentence on what else is in the given folders, counted by kind, with three names; "" if nothing is."""
    taken = set(files)
    others = [path for place in places if place.is_dir() for path in sorted(place.iterdir()) if path not in taken]
    if not others:
        return ""
    kinds = Counter("folder" if path.is_dir() else path.suffix or "no ending" for path in others)
    some = ", ".join(path.name for path in others[:3]) + (", …" if len(others) > 3 else "")
    counts = ", ".join(f"{n} {kind}{'s' * (kind == 'folder' and n > 1)}" for kind, n in kinds.most_common())
    return f"not predicted, as no pictures directly in the folders: {counts} ({some})"


def predict(
    adapter: Adapter,
    files: Sequence[Path],
    out: Path,
    name: str,
    on_image: ProgressCallback | None = None,
    corruption: Corruption | None = None,
) -> list[dict[str, Any]]:
    """Write `out`/<image>.png (visualizations) and `out`/predictions/ (COCO panoptic) in the model's own classes.

    Return the paths of each image and its visualization, and its segments, largest first. Pictures that cannot be read
    are left out, and raise DataError when the others are written. `corruption` changes the pictures first, by the ids
    that `image_ids` gives them.
    """
    ids, pictures = image_ids(files), Pictures(files)
    results: list[dict[str, Any]] = []
    broken: dict[str, str] = {}  # image id → why it cannot be read
    with PredictionWriter(out / "predictions", fresh=True) as writer:
        for k, (file, image_id) in enumerate(zip(files, ids, strict=True), 1):
            try:
                image = pictures.read(image_id, file)
            except DataError as error:
                # One broken picture must not cost the predictions of the others; its error is raised at the end.
                broken[image_id] = str(error)
                continue
            image = image if corruption is None else corruption.apply(image)
            made = _predicted(adapter, image, file)
            writer.write(image_id, made)
            picture = predicted_page(f"{image_id}:  {name}", image.rgb, made.panoptic, adapter.categories)
            path = write(out / f"{safe_file_stem(image_id)}.png", picture)
            segments = list(_segments(made, adapter.categories))
            results.append({"image": str(file), "picture": str(path), "segments": segments})
            if on_image:
                on_image(k, len(files))
        writer.finish([image_id for image_id in ids if image_id not in broken], adapter.categories)
    if broken:
        some = "\n".join(list(broken.values())[:3])
        raise DataError(
            f"{some}\n{len(results)} of {len(files)} images were predicted into {out}; replace or remove the others"
        )
    return results


def _predicted(adapter: Adapter, image: Image, file: Path) -> Prediction:
    try:
        (output,) = adapter.infer([adapter.preprocess(image)])
        return adapter.postprocess(output, image.size)
    except Exception as error:
        reason = describe_error(error)
        raise ModelError(f"{file}: the model failed: {reason}; BENCH_DEBUG=1 shows where") from error


def image_ids(files: Sequence[Path]) -> list[str]:
    """Return one image id per file: the stem; the file name if two stems are equal; the path if two names are equal."""
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else file.name for file in files]
    counts = Counter(names)
    return [name if counts[name] == 1 else str(file) for file, name in zip(files, names, strict=True)]


def _segments(prediction: Prediction, categories: Categories) -> Iterator[dict[str, Any]]:
    panoptic = prediction.panoptic
    rows = zip(panoptic.segments_info, panoptic.areas.tolist(), strict=True)
    for info, area in sorted(rows, key=lambda row: -row[1]):
        category = categories.items[categories.index_of[info.category_id]]
        yield {"category": category.name, "isthing": category.isthing, "area": area, "score": info.score}
