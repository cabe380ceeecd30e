from pathlib import Path

import pytest
from PIL import Image as PilImage
from report_runs import finished, meta, values

from bench.errors import UsageError
from bench.reports.figures.class_bars import BAR_INCHES, class_bars
from bench.reports.figures.plot import DPI, PALETTE
from bench.reports.report import report
from bench.results.run import Run
from bench.types import Categories, Category


def a_run(tmp_path: Path, name: str, pq: float | None = 0.5, key: str = "a", semantic: float | None = None) -> Run:
    return finished(tmp_path / name, meta(name), values(pq, semantic=semantic), key)


def pixels(path: Path) -> tuple[tuple[int, int], dict[tuple[int, int, int], int]]:
    """(width, height), and how many pixels each colour has."""
    with PilImage.open(path) as picture:
        assert round(picture.info["dpi"][0]) == DPI
        rgb = picture.convert("RGB")
        counts = rgb.getcolors(maxcolors=rgb.width * rgb.height) or []
        return rgb.size, {color: count for count, color in counts if isinstance(color, tuple)}  # type: ignore[misc]


def color(k: int) -> tuple[int, int, int]:
    red, green, blue = (int(PALETTE[k][i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def test_bars_grow_with_the_quality(tmp_path: Path) -> None:
    areas = [
        pixels(class_bars([a_run(tmp_path, str(pq), pq)]).save(tmp_path / f"{pq}.png"))[1][color(0)]
        for pq in (0.25, 0.5)
    ]
    swatch = 20 * 20
    assert 1.8 < (areas[1] - swatch) / (areas[0] - swatch) < 2.2


def test_an_undefined_class_has_no_bar(tmp_path: Path) -> None:
    _, colors = pixels(class_bars([a_run(tmp_path, "m", None)]).save(tmp_path / "none.png"))
    assert colors[color(0)] < 24 * 24  # the legend's swatch alone


def test_runs_stand_beside_each_other_in_their_own_colours(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, name) for name in ("x", "y", "z")]
    (_, alone), _ = pixels(class_bars(runs[:1]).save(tmp_path / "one.png"))
    (_, height), colors = pixels(class_bars(runs).save(tmp_path / "three.png"))
    assert all(colors[color(k)] > 1000 for k in range(3))
    assert color(3) not in colors
    assert height > alone


def test_a_semantic_output_gets_a_panel_of_its_own(tmp_path: Path) -> None:
    (narrow, _), _ = pixels(class_bars([a_run(tmp_path, "x")]).save(tmp_path / "x.png"))
    (wide, _), _ = pixels(class_bars([a_run(tmp_path, "y", semantic=0.5)]).save(tmp_path / "y.png"))
    assert wide > narrow


def test_133_classes_keep_the_height_of_a_bar(tmp_path: Path) -> None:
    space = Categories(tuple(Category(k, f"class {k}", k < 80, (1, 2, 3)) for k in range(133)))
    score = values(0.5)
    row = score["per_class"][0]
    score["per_class"] = [{**row, "category_id": c.id, "name": c.name, "isthing": c.isthing} for c in space]
    run = finished(tmp_path / "coco", meta("coco", space), score)
    (_, height), _ = pixels(class_bars([run]).save(tmp_path / "deep" / "er" / "coco.png"))
    assert height > 133 * 1.7 * BAR_INCHES * DPI


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    run = a_run(tmp_path, "m")
    first, again = (class_bars([run]).save(tmp_path / f"{name}.png").read_bytes() for name in "ab")
    assert first == again


@pytest.mark.parametrize("count", [0, len(PALETTE) + 1])
def test_too_many_runs_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="1 to 8 runs"):
        report([a_run(tmp_path, "m")] * count, tmp_path / "no")
