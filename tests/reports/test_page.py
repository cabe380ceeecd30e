"""The page as a file: its numbers, what is escaped, what the gallery holds. What scripts do is tested in a browser."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from page_runs import EVIL, IMAGES, dataset, image_id, prediction, run_of, truth, two_runs, written
from report_runs import MODEL

from bench.errors import NotComparable
from bench.io.config import from_dict
from bench.io.hashing import folder_digest
from bench.metrics.error_map import error_map, pair_codes
from bench.metrics.matching import match
from bench.overlap import Overlap
from bench.reports.page.gallery import gallery
from bench.reports.page.payload import box_of, packed
from bench.reports.page.picks import picks
from bench.reports.report import report
from bench.reports.views.cost import scatters
from bench.reports.views.errors import group_stacks
from bench.reports.views.runs import labels, run_views
from bench.reports.views.training import training_log
from bench.results.records import ModelRecord, PredictionsRecord
from bench.results.run import Run
from bench.results.timing import Throughput, Timing, write_timing


def unpacked(text: str, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Decode an array made by `packed`, as the page's script does."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<u2").reshape(shape)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    return two_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def files(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a whole report on both runs writes."""
    paths = report(runs, tmp_path_factory.mktemp("page"), dataset())
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def page(files: dict[str, bytes]) -> str:
    return files["index.html"].decode("utf-8")


class Numbers(HTMLParser):
    """The full values in the headline's cells: run → column → value."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, float]] = {}
        self.run = self.column = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.run = given.get("data-run", self.run)
        self.column = given.get("data-name", "") if tag == "td" else self.column
        if tag == "data" and self.column and self.run:
            self.found.setdefault(self.run, {})[self.column] = float(given["value"])


def test_the_headline_has_the_stored_numbers_in_full(page: str, runs: list[Run]) -> None:
    found = Numbers(page).found
    for run in runs:
        score = run.score
        assert found[run.name]["PQ"] == score.PQ.all.PQ
        assert found[run.name]["PQ things"] == score.PQ.things.PQ
        assert found[run.name]["mIoU panoptic"] == score.mIoU.panoptic
        assert "mIoU semantic" not in found[run.name]  # the runs have no semantic output


def test_names_from_data_cannot_leave_their_element(page: str) -> None:
    assert EVIL not in page and "<i>worse" not in page and "<b>" not in page.replace("taken for <b>", "")
    assert "&lt;i&gt;worse" in page


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    places = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert {place.partition(":")[0] for place in places if ":" in place} <= {"data"}
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert "default-src 'none'" in page


def test_the_same_runs_give_the_same_bytes(runs: list[Run], files: dict[str, bytes], tmp_path: Path) -> None:
    again = {path.name: path.read_bytes() for path in report(runs, tmp_path / "again", dataset())}
    assert [name for name in files if files[name] != again[name]] == []
    assert {"index.html", "classes.svg", "headline.png", "cost-parameters.svg", "headline.csv", "classes.tex"} <= set(
        files
    )


def test_the_plots_of_the_page_are_the_files(files: dict[str, bytes], page: str) -> None:
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    shown = {name: files[f"{name}.svg"].decode("utf-8") for name in ("headline", "errors", "cost-parameters")}
    for name, svg in shown.items():
        assert f'id="{name}-figure_1"' in page
        titles = re.findall(r"<title>.*?</title>", svg)
        assert titles and all(title in page for title in titles)
        assert all(path.replace("\n", " ") in page for path in re.findall(r'<path d="[^"]*"', svg))


def test_runs_on_other_truth_share_no_page(runs: list[Run], tmp_path: Path) -> None:
    done = replace(runs[1].complete, key={"truth": "other"})
    with pytest.raises(NotComparable):
        report([runs[0], Run(runs[1].folder, runs[1].meta, done)], tmp_path)


def test_maps_survive_their_packing() -> None:
    one, other = truth(1), prediction(4, 3)
    assert unpacked(packed(one.id_map), one.size).tolist() == one.id_map.tolist()
    matches = match(Overlap.of(one, other))
    codes = pair_codes(one, other, matches)
    table = unpacked(packed(codes), codes.shape)
    assert (table[one.id_map, other.id_map] == error_map(one, other, matches)).all()


def test_the_gallery_stays_under_its_limit_and_says_what_it_left_out(runs: list[Run], tmp_path: Path) -> None:
    views = run_views(runs)
    whole = gallery(views, dataset())
    assert {image["id"] for image in whole.images} == {image_id(k) for k in range(IMAGES)} and whole.left_out == 0
    assert whole.bytes == pytest.approx(sum(len(json.dumps(image)) for image in whole.images), rel=0.05)
    small = gallery(views, dataset(), whole.bytes / 2e6)
    assert 0 < small.bytes <= whole.bytes / 2 and small.left_out > 0
    assert {card["image"] for card in small.cards} == set(range(len(small.images)))
    text = written(runs, tmp_path / "page.html", dataset(), cap_mb=whole.bytes / 2e6).read_text(encoding="utf-8")
    assert f"{small.left_out} pictures left out" in text


def test_what_is_not_at_hand_is_said_with_a_remedy(tmp_path: Path) -> None:
    bare = run_of(tmp_path / "bare", "bare", 0, keep=False)
    for data, words in ((None, "no data root"), (dataset(), "--overwrite")):
        text = written([bare], tmp_path / "page.html", data, why="no data root").read_text(encoding="utf-8")
        assert words in text and 'id="cards"' not in text


def test_picks_are_the_worst_the_best_and_the_costliest_segment_of_each_kind(runs: list[Run]) -> None:
    found = [pick for pick in picks(run_views(runs)) if pick.k == 1]
    by_kind = {kind: [pick for pick in found if pick.kind == kind] for kind in {pick.kind for pick in found}}
    assert by_kind["worst"][0].place == IMAGES and by_kind["best"][0].place == 1
    assert not {p.image_id for p in by_kind["worst"]} & {p.image_id for p in by_kind["best"]}
    missed = [pick.fault for pick in by_kind["missed"] if pick.fault]
    assert all(fault.category == "car" and fault.side == "truth" for fault in missed)
    costs = [pick.fault.cost for pick in by_kind["mask quality"] if pick.fault]
    assert costs == sorted(costs, reverse=True) and len(costs) > 1


def test_a_box_surrounds_its_segment() -> None:
    left, top, right, bottom = box_of(truth(0), 3)
    inside = truth(0).id_map[top:bottom, left:right]
    assert (inside == 3).all() and inside.size == (truth(0).id_map == 3).sum()


def test_pq_and_losses_add_up(runs: list[Run]) -> None:
    stacks = group_stacks(run_views(runs))
    assert len(stacks) == 6
    assert [stack.pq + sum(share for _, share in stack.losses) for stack in stacks] == pytest.approx([1.0] * 6)


def test_a_model_that_another_beats_in_both_is_dominated(runs: list[Run]) -> None:
    parameters = next(one for one in scatters(run_views(runs)) if one.cost.name == "parameters")
    assert [point.dominated for point in parameters.points] == [False, True]
    again = next(one for one in scatters(run_views([runs[0], runs[0]])) if one.cost.name == "parameters")
    assert [point.dominated for point in again.points] == [False, False]


def test_time_memory_and_energy_stand_under_cost_with_the_sample_size(tmp_path: Path) -> None:
    one, other = two_runs(tmp_path)
    total = tuple(k / 1000 for k in range(1, 101))
    timing = Timing(
        {"read": (0.001,) * 100, "total": total}, 10, "cuda", "fp32", "one <GPU>", "2026-01-01",
        throughput=Throughput(96, 4, 3.0, 192.0), process_peak_bytes=2 * 10**9, device_peak_bytes=750_000_000,
    )  # fmt: skip
    write_timing(one.folder, timing)
    written = {path.name: path for path in report([one, other], tmp_path / "report")}
    page, lines = (written[name].read_text(encoding="utf-8") for name in ("index.html", "report.md"))
    cost = page[page.index('id="cost"') : page.index('id="gallery"')]
    for text in (
        "100 images one at a time on one &lt;GPU&gt;, cuda / fp32, ms", "<td>50.5</td><td>95.0</td><td>99.0</td>",
        "throughput: 32.0 images/s at batch size 4 (n = 96", "2.00 GB of the process, 0.75 GB of the device",
        "energy: 2 J an image (n = 96", f"{labels([one, other])[0]} (n = 100)",
    ):  # fmt: skip
        assert text in cost
    assert cost.count("one at a time") == 2, "the caption of one table and its label; the other run has none"
    assert "| total, from pixels | 50.5 | 95.0 | 99.0 |" in lines and "- throughput: 32.0 images/s" in lines


def test_runs_of_one_name_are_told_apart(runs: list[Run]) -> None:
    one = runs[0]
    other = Run(Path("elsewhere"), replace(one.meta, model=replace(one.meta.model, checkpoint="toy/large")), one.done)
    assert labels([one, other]) == ["good toy/tiny", "good toy/large"]
    assert labels([one, Run(Path("x"), one.meta, one.done)]) == ["good toy/tiny a", "good toy/tiny x"]
    assert labels(runs) == [run.name for run in runs]


def test_a_training_log_counts_only_beside_the_weights_that_ran(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "training.jsonl").write_text('{"step": 5, "loss": 2.0}\n{"step": 10, "lo')
    stored = {**MODEL, "source": str(tmp_path), "local": True, "weights": folder_digest(tmp_path)}
    model = from_dict(ModelRecord, stored, "run.json", "ignore")
    assert training_log(model) == [{"step": 5, "loss": 2.0}]
    (tmp_path / "config.json").write_text('{"changed": 1}')
    assert training_log(model) == []
    assert training_log(PredictionsRecord("0f")) == []


def test_headings_are_the_words_of_the_navigation(page: str) -> None:
    listed = re.findall(r'<li><a href="#([a-z]+)">(.*?)</a></li>', page)
    assert len(listed) >= 10
    assert listed == re.findall(r'<section id="([a-z]+)"><h2>(.*?)</h2>', page)


def test_no_column_of_the_page_is_empty_everywhere(page: str, files: dict[str, bytes]) -> None:
    head = page[page.index('id="headline-table"') : page.index("</table>")]
    assert "mIoU panoptic" in head and "params (M)" in head
    assert "mIoU semantic" not in head and "latency" not in head
    latex, markdown = (files[name].decode("utf-8") for name in ("headline.tex", "report.md"))
    assert "panoptic" in latex and "semantic" not in latex
    columns = next(line for line in markdown.splitlines() if line.startswith("| run | PQ"))
    assert "| mIoU panoptic |" in columns and "semantic" not in columns
