"""The files of a study: numbers, charts, what is said of failures, and that nothing from data becomes markup."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from page_runs import EVIL
from study_runs import outcome

from bench.analysis.contrasts import arms
from bench.reports.study.report import StudyReport, study_report


class Reader(HTMLParser):
    """Tags, and the addresses that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [value for name, value in attrs if name == "src" and value]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> StudyReport:
    return study_report(outcome(tmp_path_factory.mktemp("study"), fail=True))


@pytest.fixture(scope="module")
def page(made: StudyReport) -> str:
    return made.paths[0].read_text(encoding="utf-8")


def test_an_arm_is_the_mean_of_its_seeds(made: StudyReport) -> None:
    base, worse, alone = made.scored
    own = [one.runs["toy"].score.PQ.all.PQ for one in made.outcome.trained[:2]]
    assert base.values("PQ") == pytest.approx(own) and base.mean("PQ").value == pytest.approx(np.mean(own))
    assert base.spread() == pytest.approx(abs(own[0] - own[1])) and alone.spread() is None
    assert base.mean("PQ").value > worse.mean("PQ").value  # type: ignore[operator]
    assert arms(made.outcome, replicates=100)[1].mean("PQ").value == worse.mean("PQ").value


def test_the_product_of_means_is_another_number_than_pq(made: StudyReport) -> None:
    worse = made.scored[1]
    sq, rq, pq = (worse.mean(name).value for name in ("SQ", "RQ", "PQ"))
    assert sq is not None and rq is not None
    assert worse.product == pytest.approx(sq * rq) and worse.product != pytest.approx(pq, abs=1e-3)


def test_the_notes_of_the_shipped_study_multiply_right() -> None:
    path = Path(__file__).parents[2] / "configs" / "suites" / "study.yaml"
    notes = " ".join(yaml.safe_load(path.read_text(encoding="utf-8"))["notes"])
    products = re.findall(r"([\d.]+) × ([\d.]+) / 100 = ([\d]+\.[\d]+)", notes)
    assert len(products) == 2
    assert all(round(float(sq) * float(rq) / 100, 2) == float(pq) for sq, rq, pq in products)


def test_the_page_shows_everything_and_fetches_nothing(made: StudyReport, page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert not reader.fetched and not {"script", "img", "i"} & reader.tags
    assert EVIL not in page and page.count("no room for &lt;/script&gt;") == 1
    svgs = [path for path in made.paths if path.suffix == ".svg"]
    assert len(svgs) == page.count("<svg") == 1 + 2 * 3  # the differences, and three charts of each contrast
    for path in svgs:
        titles = re.findall(r"<title>.*?</title>", path.read_text(encoding="utf-8"))
        assert titles and all(title in page for title in titles)
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    for verdict in made.verdicts:
        assert verdict.why in page and verdict.seeds in page
    for arm in made.scored:
        assert f'<data value="{arm.mean("PQ").value}">' in page


def test_tables_and_files_say_the_same(made: StudyReport) -> None:
    with (made.outcome.folder / "trainings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["training"], row["seed"]) for row in rows] == [
        ("base", "0"), ("base", "1"), ("worse", "0"), ("worse", "1"), ("alone", "0"),
    ]  # fmt: skip
    assert [float(row["PQ"]) for row in rows] == [value for arm in made.scored for value in arm.values("PQ")]
    text = (made.outcome.folder / "study.md").read_text(encoding="utf-8")
    assert "- failed: no room for" in text and "the mean of products is not the product of the means" in text
    assert all(table.title in text for table in made.tables)


def test_a_quick_look_says_so_on_top(tmp_path: Path) -> None:
    made = study_report(outcome(tmp_path, {"base": (0,), "other": (1,)}, quick=True))
    page = made.paths[0].read_text(encoding="utf-8")
    assert page.index("allows no conclusion") < page.index('id="contrasts"') and "none (quick look)" in page


def test_a_study_of_which_nothing_succeeded_still_has_a_page(tmp_path: Path) -> None:
    whole = outcome(tmp_path, {"base": (0,), "other": (1,)}, fail=True)
    made = study_report(replace(whole, trained=whole.trained[-1:]))
    assert made.verdicts == [] and made.tables == []
    assert "Nothing could be compared" in made.paths[0].read_text(encoding="utf-8")
