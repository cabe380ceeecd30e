"""The page in a real headless browser: scripts, keyboard, no message, no request."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from page_runs import dataset, image_id, two_runs, written

from bench.reports.figures.summary import plots
from bench.reports.views.runs import run_views
from bench.results.run import Run

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
sync_api: Any = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install -e '.[test]')")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs a browser: apt-get install chromium")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    return two_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def address(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> str:
    drawn = plots(run_views(runs))
    return written(runs, tmp_path_factory.mktemp("page") / "index.html", dataset(), drawn=drawn).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page that may say nothing and ask for nothing but its own file."""
    said: list[str] = []
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if _foreign(request.url) else None)
    yield page
    context.close()
    assert said == []


def _foreign(url: str) -> bool:
    return not url.startswith(("data:", "blob:")) and not url.partition("#")[0].endswith("/index.html")


def test_numbers_are_those_of_the_runs(tab: Any, address: str, runs: list[Run]) -> None:
    tab.goto(address)
    rows = "[...document.querySelectorAll('#headline-table tbody tr')]"
    found = tab.evaluate(f"{rows}.map(r => [r.dataset.run, Number(r.querySelector('[data-name=PQ] data').value)])")
    assert found == [[run.name, run.score.PQ.all.PQ] for run in runs]
    bars = tab.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-measure=PQ] tr[data-class]')]"
        ".map(r => [r.dataset.class, [...r.querySelectorAll('data')].map(d => Number(d.value))]))"
    )
    assert bars == {
        row.name: [run.score.per_class[k].PQ for run in runs] for k, row in enumerate(runs[0].score.per_class)
    }


def test_measures_order_and_filter(tab: Any, address: str) -> None:
    tab.goto(address)
    tab.check("input[name=measure][value=SQ]")
    assert tab.locator(".measure:visible").count() == 1
    assert tab.locator(".measure:visible").get_attribute("data-measure") == "SQ"
    tab.check("input[name=measure][value=PQ]")
    tab.select_option("#class-order", "worst")
    values = tab.evaluate(
        "[...document.querySelectorAll('[data-measure=PQ] table:nth-of-type(2) tr[data-class]')]"
        ".map(r => [...r.querySelectorAll('data')].reduce((a, d) => a + Number(d.value), 0))"
    )
    assert len(values) == 2 and values == sorted(values)
    tab.fill("#class-filter", "ca")
    assert tab.locator("#classes tr[data-class]:visible").evaluate_all("rows => rows.map(r => r.dataset.class)") == [
        "car"
    ]
    assert tab.locator("#class-count").text_content() == "1 of 3 classes"


def test_cards_draw_themselves_when_they_come_into_view(tab: Any, address: str) -> None:
    tab.goto(address)
    drawn = "document.querySelectorAll('#cards [data-drawn]').length"
    assert tab.evaluate(drawn) == 0
    tab.locator("#gallery").scroll_into_view_if_needed()
    tab.locator("#cards > li").first.scroll_into_view_if_needed()
    tab.wait_for_function(f"{drawn} > 0")


def test_pictures_are_filtered(tab: Any, address: str) -> None:
    tab.goto(address)
    every = tab.locator("#cards > li:visible").count()
    tab.select_option("#pick-kind", "missed")
    kinds = tab.locator("#cards > li:visible .card-kind").all_text_contents()
    assert 0 < len(kinds) < every and all(kind.startswith("missed") for kind in kinds)
    tab.select_option("#pick-kind", "")
    tab.select_option("#pick-run", "1")
    labels = tab.locator("#cards > li:visible .card-text").all_text_contents()
    assert labels and all("<i>worse</i>" in label for label in labels)
    tab.fill("#pick-text", "no such image")
    assert tab.locator("#cards > li:visible").count() == 0
    assert tab.locator("#pick-count").text_content().startswith("0 of ")


def pixel(tab: Any, layer: str, x: int, y: int) -> list[int]:
    """RGB of a canvas; through a copy, since reading a drawn one back would leave a message in the console."""
    got: list[int] = tab.evaluate(
        "([id, x, y]) => { const copy = document.createElement('canvas').getContext('2d', {willReadFrequently: true});"
        " copy.drawImage(document.getElementById(id), -x, -y);"
        " return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3); }",
        [layer, x, y],
    )
    return got


def test_a_link_opens_one_image_and_the_slider_parts_two_models(tab: Any, address: str) -> None:
    tab.goto(f"{address}#image/{quote(image_id(5), safe='')}")
    tab.wait_for_selector("#viewer[open]")
    assert tab.locator("#viewer-title").text_content() == image_id(5)
    tab.wait_for_function("document.getElementById('layer-right').width === 80")
    assert tab.locator("#name-left").text_content() == "good"
    assert pixel(tab, "layer-left", 60, 20) != pixel(tab, "layer-right", 60, 20)  # one saw the second car
    assert pixel(tab, "layer-left", 5, 36) == pixel(tab, "layer-right", 5, 36)  # both the road
    tab.focus("#slider")
    tab.keyboard.press("Home")
    assert "0%" in tab.locator("#layer-right").evaluate("e => e.style.clipPath")
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    assert "3%" in tab.locator("#layer-right").evaluate("e => e.style.clipPath")
    assert tab.locator("#divider").evaluate("e => e.style.left") == "3%"


def test_colours_are_those_of_the_pngs(tab: Any, address: str) -> None:
    """Grey 90 under a class: 0.62 of its colour (158 of 255), within a step or two of rounding and of the JPEG."""
    tab.goto(f"{address}#image/{quote(image_id(0), safe='')}")
    tab.wait_for_function("document.getElementById('layer-left').width === 80")
    tab.select_option("#left", "truth")
    road = [round(0.62 * channel + 0.38 * 90) for channel in (128, 64, 128)]
    assert pixel(tab, "layer-left", 5, 36) == pytest.approx(road, abs=3)
    assert "missed" not in tab.locator("#viewer-legend li").all_text_contents()
    tab.select_option("#left", "errors-1")
    assert {"road", "missed"} <= set(tab.locator("#viewer-legend li").all_text_contents())
    assert pixel(tab, "layer-left", 60, 20) == pytest.approx([0.72 * c + 0.28 * 90 for c in (0, 114, 178)], abs=3)


def test_the_keyboard_walks_the_gallery(tab: Any, address: str) -> None:
    tab.goto(address)
    tab.locator("#cards a").first.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#viewer[open]")
    first = tab.url
    tab.keyboard.press("j")
    tab.wait_for_url(lambda url: url != first)
    tab.keyboard.press("k")
    tab.wait_for_url(lambda url: url == first)
    tab.keyboard.press("3")
    assert tab.locator("input[name=view][value=instances]").is_checked()
    tab.keyboard.press("Escape")
    tab.wait_for_selector("#viewer", state="hidden")
    assert tab.url.endswith("#gallery")
    assert tab.evaluate("document.activeElement.closest('#cards') !== null")


def test_what_is_under_the_pointer_is_told(tab: Any, address: str) -> None:
    tab.goto(f"{address}#image/{quote(image_id(0), safe='')}")
    tab.wait_for_function("document.getElementById('layer-left').width === 80")
    box = tab.locator("#stage").bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5)
    told = tab.locator("#under").text_content()
    assert told.startswith("truth: car, 320 px") and "<i>worse</i>: road" in told and "(missed)" in told


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(browser: Any, address: str, width: int, scheme: str, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        f"[...document.querySelectorAll('svg')].every(e => e.getBoundingClientRect().right <= {width})"
    )
    inks = page.evaluate(
        "['html', '#errors svg text'].map(e => getComputedStyle(document.querySelector(e)))"
        ".map((style, k) => k ? style.fill : style.color)"
    )
    assert inks[0] == inks[1]
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 27)"}[scheme]
    context.close()


def test_every_control_has_a_name_and_every_picture_words(tab: Any, address: str) -> None:
    tab.goto(address)
    unnamed = tab.evaluate(
        "[...document.querySelectorAll('input, select, button')].filter(e => !(e.labels?.length || e.ariaLabel"
        " || e.textContent.trim())).map(e => e.id)"
    )
    assert unnamed == []
    assert tab.locator("#cards canvas:not([aria-label])").count() == 0
