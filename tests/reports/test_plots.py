"""Plots: one drawing is the PNG, the SVG file and the SVG of the page; tooltips; labels that are hostile."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from page_runs import EVIL, two_runs, written
from PIL import Image as PilImage

from bench.analysis.contrasts import Verdict
from bench.metrics.bootstrap import Estimate
from bench.reports.figures.plot import PALETTE, Plot, short
from bench.reports.figures.summary import HOLLOW, MARKED, cost_scatter, error_stacks, forest, plots, training_curves
from bench.reports.views.cost import COSTS, Point, Scatter
from bench.reports.views.errors import Stack
from bench.reports.views.runs import run_views
from bench.reports.views.training import Chart, Curve

HOSTILE = f'_$x^$ {EVIL} url(#a) id="b" \x01'


def scatter(*labels: str) -> Plot:
    points = tuple(Point(k, label, 10.0**k, 10.0 * k, k == 1) for k, label in enumerate(labels))
    return cost_scatter(Scatter(COSTS[0], points, ()))


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


def bare(node: ElementTree.Element) -> tuple[object, ...]:
    """Tag, text, geometry and colours without what a page changes: namespaces, ids, references, roles, black."""
    name = node.tag.rpartition("}")[2]
    left_out = ("id", "href", "clip-path", "role", "aria-label")
    attributes = {key.rpartition("}")[2]: value.replace("#000000", "currentColor") for key, value in node.items()}
    kept = {key: value for key, value in attributes.items() if key not in left_out}
    if name == "svg":
        kept = {"viewBox": kept["viewBox"]}
    children = [bare(child) for child in node if not child.tag.endswith(("metadata", "style"))]
    return name, (node.text or "").strip(), tuple(sorted(kept.items())), tuple(children)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Plot]:
    return plots(run_views(two_runs(tmp_path_factory.mktemp("runs"))))


def test_a_page_shows_the_file_that_is_written_for_papers(drawn: list[Plot], tmp_path: Path) -> None:
    assert {"errors", "cost-parameters"} <= {plot.name for plot in drawn}
    for plot in drawn:
        file = plot.save(tmp_path / f"{plot.name}.svg").read_text(encoding="utf-8")
        assert bare(ElementTree.fromstring(file)) == bare(ElementTree.fromstring(plot.__html__()))


def test_in_a_page_black_follows_the_text_and_nothing_is_painted_behind(drawn: list[Plot]) -> None:
    for plot in drawn:
        assert "#000000" in plot.svg
        text = plot.__html__()
        assert "#000000" not in text and "currentColor" in text and "<style" not in text and "http" not in text
        assert "#ffffff" not in text.replace("fill: #ffffff; text-anchor", "").replace(
            "text-anchor: middle; fill: #ffffff", ""
        )


def test_ids_of_several_plots_differ_and_references_lead_somewhere(drawn: list[Plot]) -> None:
    text = "".join(plot.__html__() for plot in drawn)
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids)) > 0
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', text)) <= set(ids)


def test_every_point_has_a_tooltip() -> None:
    titles = re.findall(r"<title>(.*?)</title>", scatter("one", "two", "three").svg)
    assert titles == [
        "one: PQ 0.0, 1.0", "two: PQ 10.0, 10.0 (dominated)", "three: PQ 20.0, 100.0",
    ]  # fmt: skip
    stacks = error_stacks("e", "errors", [Stack("car", 0.5, (("missed", 0.3), ("split", 0.0), ("spurious", 0.2)))])
    assert stacks.tips == ["car: PQ 50.0", "car: missed 30.0", "car: spurious 20.0"]
    few = tuple((float(k), 2.0 * k) for k in range(MARKED))
    curves = training_curves(Chart("loss", "Loss", (Curve(0, "a", few), Curve(1, "b", (*few, (99.0, 1.0))))), "t")
    assert curves.tips == [
        f"a: {few[-1][1]:g} (step {MARKED - 1})", *(f"a: {y:g} (step {x:g})" for x, y in few), "b: 1 (step 99)",
    ]  # fmt: skip
    verdict = Verdict("c", "base", "arm", Estimate(0.01, -0.002, 0.03), None, "", "", "")
    assert forest([verdict]).tips == ["arm minus base: 95 % interval -0.20 to +3.00", "arm minus base: +1.00"]
    for plot in (stacks, curves):
        assert plot.svg.count("<title>") == plot.__html__().count('role="img"') == len(plot.tips)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_labels_stay_text() -> None:
    plot = scatter(HOSTILE)
    shown, kept = HOSTILE.replace("\x01", "\ufffd"), short(HOSTILE).replace("\x01", "\ufffd")
    assert EVIL not in plot.svg and "<img" not in plot.__html__()
    for svg in (plot.svg, plot.__html__()):
        assert kept in " ".join(texts(svg))
        titles = [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("title")]
        assert any(title.startswith(shown) for title in titles)


def test_a_long_legend_makes_the_figure_taller_and_not_the_plot_smaller() -> None:
    few, many = scatter("a", "b"), scatter(*("long words " * 9 for _ in range(8)))
    heights = [plot.figure.get_figheight() for plot in (few, many)]
    for plot in (few, many):
        plot.figure.draw_without_rendering()
    inches = [
        plot.figure.axes[0].get_position().height * height for plot, height in zip((few, many), heights, strict=True)
    ]
    assert heights[0] + 1 < heights[1] and inches[1] == pytest.approx(inches[0], rel=0.1)


def test_hollow_marks_are_explained_where_there_are_any() -> None:
    alone, several = scatter("a"), scatter("a", "b")
    assert HOLLOW not in alone.figure.axes[0].get_xlabel() and HOLLOW in several.figure.axes[0].get_xlabel()


def test_a_short_label_keeps_both_ends() -> None:
    assert short("mask2former") == "mask2former"
    assert short("0123456789" * 5, 10) == "012345…789"


def test_runs_have_their_colours(tmp_path: Path) -> None:
    curves = (Curve(0, "one", ((0, 9.0), (50, 3.0))), Curve(2, "three", ((0, 7.0), (90, 2.0))))
    path = training_curves(Chart("loss", "Training loss", curves), "loss").save(tmp_path / "loss.png")
    with PilImage.open(path) as picture:
        colors = {color for _, color in picture.convert("RGB").getcolors(picture.width * picture.height) or []}
    assert {PALETTE[0], PALETTE[2]} <= {"#%02X%02X%02X" % color for color in colors}  # noqa: UP031
    assert (255, 255, 255) in colors


def test_a_page_has_a_section_for_training_where_there_are_curves(tmp_path: Path) -> None:
    runs = two_runs(tmp_path / "runs")
    curves = training_curves(Chart("loss", "Training loss", (Curve(0, "one", ((0, 9.0), (50, 3.0))),)), "training-loss")
    without, having = (
        written(runs, tmp_path / "page.html", None, drawn=drawn).read_text(encoding="utf-8") for drawn in ([], [curves])
    )
    assert 'id="training"' not in without and "<svg" not in without
    assert '<section id="training">' in having and curves.__html__() in having
