"""The study's page in a real headless browser: it asks for nothing, says nothing, and fits narrow and wide windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_runs import outcome
from test_browser import CHROMIUM, FLAGS

from bench.reports.study.report import study_report

sync_api: Any = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install -e '.[test]')")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs a browser: apt-get install chromium")


def test_the_page_fits_its_window_and_its_numbers_are_those_of_the_arms(tmp_path: Path) -> None:
    made = study_report(outcome(tmp_path))
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: said.append(request.url) if "index.html" not in request.url else None)
        page.goto(made.paths[0].as_uri())
        for width in (400, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
        cells = page.evaluate(
            "[...document.querySelectorAll('#training-table tbody tr')]"
            ".map(r => [r.dataset.training, Number(r.querySelector('[data-name=PQ] data').value)])"
        )
        sentences = page.evaluate("[...document.querySelectorAll('#verdicts .verdict')].map(v => v.textContent)")
        browser.close()
    assert [one for one in said if not one.startswith("data:")] == []
    assert cells == [[arm.name, arm.mean("PQ").value] for arm in made.scored]
    assert sentences == [verdict.verdict for verdict in made.verdicts]
