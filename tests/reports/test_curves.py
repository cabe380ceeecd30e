from pathlib import Path

from PIL import Image as PilImage

from bench.reports.figures.class_bars import PALETTE
from bench.reports.figures.summary import training_curves
from bench.reports.views.axes import linear
from bench.reports.views.training import Chart, Curve


def chart(title: str, *curves: Curve) -> Chart:
    xs, ys = zip(*(point for curve in curves for point in curve.points), strict=True)
    return Chart(title, linear(xs), linear(ys), curves)


def test_runs_have_their_colours_and_charts_stand_beside_each_other(tmp_path: Path) -> None:
    loss = chart("loss", Curve(0, "one", ((0, 9.0), (50, 3.0))), Curve(2, "three", ((0, 7.0), (90, 2.0))))
    pq = chart("PQ", Curve(2, "three", tuple((float(k), 0.5 * k) for k in range(90))))
    sizes = []
    for name, charts in (("loss", [loss]), ("both", [loss, pq])):
        path = training_curves(charts, tmp_path / f"{name}.png")
        assert path is not None
        with PilImage.open(path) as picture:
            sizes.append(picture.width)
            colors = {color for _, color in picture.convert("RGB").getcolors(picture.width * picture.height) or []}
        assert {PALETTE[0], PALETTE[2]} <= {"#%02X%02X%02X" % color for color in colors}  # noqa: UP031
    assert sizes[1] == 2 * sizes[0]


def test_without_a_log_there_is_no_figure(tmp_path: Path) -> None:
    assert training_curves([], tmp_path / "none.png") is None
    assert list(tmp_path.iterdir()) == []
