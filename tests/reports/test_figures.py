from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from page_runs import two_runs
from PIL import Image as PilImage
from report_runs import finished, meta, values

from bench.errors import UsageError
from bench.reports.figures.bars import BAR_INCHES, SLIDE, class_bars, headline_bars
from bench.reports.figures.plot import DPI, PALETTE, Plot
from bench.reports.figures.summary import plots
from bench.reports.report import report
from bench.reports.views.runs import run_views
from bench.results.run import Run
from bench.types import Categories, Category


def a_run(tmp_path: Path, name: str, pq: float | None = 0.5, key: str = "a", semantic: float | None = None) -> Run:
    return finished(tmp_path / name, meta(name), values(pq, semantic=semantic), key)


def bars(*runs: Run) -> Plot:
    """The only figure of the classes."""
    (plot,) = class_bars(run_views(runs))
    return plot


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
    areas = [pixels(bars(a_run(tmp_path, str(pq), pq)).save(tmp_path / f"{pq}.png"))[1][color(0)] for pq in (0.25, 0.5)]
    swatch = 20 * 20
    assert 1.8 < (areas[1] - swatch) / (areas[0] - swatch) < 2.2


def test_an_undefined_class_has_no_bar(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, "m", None), a_run(tmp_path, "n", 0.5)]
    _, colors = pixels(bars(*runs).save(tmp_path / "none.png"))
    assert colors[color(0)] < 26 * 26 < colors[color(1)]  # the legend's swatch alone
    assert class_bars(run_views(runs[:1])) == headline_bars(run_views(runs[:1])) == []


def test_runs_stand_beside_each_other_in_their_own_colours(tmp_path: Path) -> None:
    runs = [a_run(tmp_path, name) for name in ("x", "y", "z")]
    (_, alone), _ = pixels(bars(*runs[:1]).save(tmp_path / "one.png"))
    (_, height), colors = pixels(bars(*runs).save(tmp_path / "three.png"))
    assert all(colors[color(k)] > 1000 for k in range(3))
    assert color(3) not in colors
    assert height > alone


def test_a_semantic_output_gets_a_panel_of_its_own(tmp_path: Path) -> None:
    (narrow, _), _ = pixels(bars(a_run(tmp_path, "x")).save(tmp_path / "x.png"))
    (wide, _), _ = pixels(bars(a_run(tmp_path, "y", semantic=0.5)).save(tmp_path / "y.png"))
    assert wide > narrow


@pytest.mark.parametrize(("models", "classes"), [(1, 133), (8, 133), (5, 19)])
def test_many_classes_keep_the_height_of_a_bar_and_go_to_further_figures(
    tmp_path: Path, models: int, classes: int
) -> None:
    space = Categories(tuple(Category(k, f"class {k}", k < 80, (1, 2, 3)) for k in range(classes)))
    total = values(0.5, semantic=0.5)
    row = total["per_class"][0]
    total["per_class"] = [{**row, "category_id": c.id, "name": c.name, "isthing": c.isthing} for c in space]
    name = "a name of a checkpoint that is " + "longer " * 20
    runs = [finished(tmp_path / f"{k}", meta(f"{name} {k}", space), total) for k in range(models)]
    drawn = class_bars(run_views(runs))
    assert [plot.name for plot in drawn] == [f"classes-{k + 1}" for k in range(len(drawn))] and len(drawn) > 1
    sizes = [tuple(DPI * inches for inches in plot.figure.get_size_inches()) for plot in drawn]
    assert max(width for width, _ in sizes) <= 1600 and max(height for _, height in sizes) <= 2200
    assert sum(height for _, height in sizes) > classes * (models + 0.7) * BAR_INCHES * DPI
    labels = [label for plot in drawn for axes in plot.figure.axes for label in axes.get_yticklabels()]
    assert [label.get_text() for label in labels] == [c.name for c in space]
    (size, _) = pixels(drawn[-1].save(tmp_path / "deep" / "er" / "coco.png"))
    assert size == pytest.approx(sizes[-1], abs=1)


@pytest.mark.parametrize("models", [1, 8])
def test_the_headline_is_a_slide_with_every_run_and_its_value(tmp_path: Path, models: int) -> None:
    (plot,) = headline_bars(run_views([a_run(tmp_path, f"{k}", 0.1 + k / 10) for k in range(models)]))
    assert "toy:val, 4 images" in plot.title and plot.figure.get_suptitle().replace("\n", " ") == plot.title
    size, colors = pixels(plot.save(tmp_path / "headline.png"))
    assert size == pytest.approx([DPI * inches for inches in SLIDE], abs=1) and size[0] * 9 == size[1] * 16
    assert all(colors[color(k)] > 1000 for k in range(models))
    texts = [text.get_text() for text in plot.figure.axes[0].texts]
    assert texts == [f"{10 + 10 * k:.1f}" for k in range(models)]


def test_whiskers_are_the_intervals_and_are_explained(tmp_path: Path) -> None:
    views = run_views(two_runs(tmp_path))
    (headline,), (classes,) = headline_bars(views), class_bars(views)
    lines = [line for line in headline.figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert [tuple(line.get_xdata()) for line in lines] == [view.interval("means", "PQ") for view in views]
    assert "95 % bootstrap interval" in headline.figure.get_supxlabel()
    spans = [tuple(line.get_xdata()) for axes in classes.figure.axes for line in axes.lines]
    assert spans[:2] == [view.interval("classes", "car") for view in views]
    assert any("95 % bootstrap interval" in text.get_text() for text in classes.figure.legends[0].get_texts())
    bare = run_views([a_run(tmp_path, "bare")])
    assert (
        "no whiskers" in headline_bars(bare)[0].figure.get_supxlabel() and not class_bars(bare)[0].figure.axes[0].lines
    )


def test_no_text_runs_out_of_a_figure(tmp_path: Path) -> None:
    names = [f"efficientps checkpoints/a-long-name@{'0123456789abcdef' * 3} {'fedcba98' * 8}{k}" for k in range(8)]
    views = run_views([a_run(tmp_path, name) for name in names])
    for plot in (*plots(views), *class_bars(views)):
        canvas = FigureCanvasAgg(plot.figure)
        plot.figure.draw_without_rendering()
        title = plot.figure.get_suptitle() or plot.figure.legends[0].get_title().get_text()
        assert title.replace("\n", " ") == plot.title
        labels = [label for axes in plot.figure.axes for label in axes.get_yticklabels()]
        for text in [*labels, *(text for legend in plot.figure.legends for text in legend.get_texts())]:
            box = text.get_window_extent(canvas.get_renderer())
            assert box.x0 >= -1 and box.x1 <= plot.figure.bbox.x1 + 1, (plot.name, text.get_text())


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    run = a_run(tmp_path, "m")
    first, again = (bars(run).save(tmp_path / f"{name}.png").read_bytes() for name in "ab")
    assert first == again


@pytest.mark.parametrize("count", [0, len(PALETTE) + 1])
def test_too_many_runs_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="1 to 8 runs"):
        report([a_run(tmp_path, "m")] * count, tmp_path / "no")
