import json
from pathlib import Path

import numpy as np
import pytest
from scenes import SPACE

from bench.errors import DataError, PartialRun
from bench.io.canonical_json import canonical_json
from bench.metrics.score import score
from bench.overlap import Overlap, PredictedSegment, TruthSegment
from bench.results.line_digests import digests_of, json_line, lines_digest
from bench.results.run import read_run, read_runs
from bench.results.shards import WHOLE, Shard
from bench.results.writer import RunWriter

META = {
    "name": "a model",
    "model": {"predictions": "0" * 64},
    "dataset": {"name": "toy", "split": "val", "categories": []},
}
SCORE = score([], SPACE, "cityscapes").to_json()


def line(image_id: str, truth: str = "t") -> dict[str, object]:
    return {"image_id": image_id, "truth": truth, "overlap": None}


def write(folder: Path, *image_ids: str) -> None:
    with RunWriter(folder, META) as run:
        for image_id in image_ids:
            run.append([image_id], [json_line(line(image_id))], [{"infer": 0.5}])


def test_a_run_is_complete_when_done_exists(tmp_path: Path) -> None:
    write(tmp_path / "run", "a", "b")
    assert read_runs(tmp_path) == []
    with pytest.raises(PartialRun, match="not complete"):
        _ = read_run(tmp_path).score
    with RunWriter(tmp_path / "run", META) as run:
        run.finish(SCORE, {"truth": "t"})
    (done,) = read_runs(tmp_path)
    assert done.score == score([], SPACE, "cityscapes") and done.score.to_json() == SCORE
    assert [entry["image_id"] for entry in done.lines()] == ["a", "b"]
    assert not list(tmp_path.glob("**/*.part"))


def test_a_torn_last_line_is_dropped_and_written_again(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    file = tmp_path / "images-0-of-1.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    with RunWriter(tmp_path, META) as run:
        assert run.done == {"a"}
        run.append(["b"], [json_line(line("b"))], [{}])
    assert file.read_bytes() == whole


def test_two_writers_are_kept_apart(tmp_path: Path) -> None:
    with RunWriter(tmp_path, META), pytest.raises(PartialRun, match="another process"):
        RunWriter(tmp_path, META)
    write(tmp_path, "a")


def test_a_whole_run_and_its_shards_exclude_each_other(tmp_path: Path) -> None:
    first, second = Shard(0, 2), Shard(1, 2)
    for one, other in ((WHOLE, first), (first, WHOLE), (first, first)):
        with RunWriter(tmp_path, META, shard=one), pytest.raises(PartialRun, match="another process"):
            RunWriter(tmp_path, META, shard=other)
    with RunWriter(tmp_path, META, shard=first), RunWriter(tmp_path, META, shard=second):
        pass


def test_the_first_description_of_a_run_stays(tmp_path: Path) -> None:
    write(tmp_path, "a")
    with RunWriter(tmp_path, META | {"name": "another"}):
        pass
    assert read_run(tmp_path).name == "a model"


def test_the_checksum_is_blind_to_order_and_sees_every_value() -> None:
    lines = [line("a"), line("b")]
    assert lines_digest(lines) == lines_digest(lines[::-1])
    assert lines_digest(lines) != lines_digest([line("a"), line("b", truth="u")])


def test_the_comparability_key_holds_the_truth_and_the_rules() -> None:
    rules = {"protocol": "coco"}
    key = digests_of([line("a"), line("b")]).comparability_key(["a", "b"], rules)
    assert key == digests_of([line("b"), line("a")]).comparability_key(["a", "b"], rules)
    assert key != digests_of([line("a"), line("b", truth="u")]).comparability_key(["a", "b"], rules)
    assert key != digests_of([line("a")]).comparability_key(["a"], rules)
    assert key != digests_of([line("a"), line("b")]).comparability_key(["a", "b"], {"protocol": "strict"})


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 99}'])
def test_a_folder_that_is_no_run_is_a_data_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match=r"run\.json"):
        read_run(tmp_path)


def test_no_run_and_many_runs_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run here"):
        read_run(tmp_path)
    write(tmp_path / "one", "a")
    write(tmp_path / "two", "a")
    with pytest.raises(DataError, match="2 runs here"):
        read_run(tmp_path)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a")
    with (tmp_path / "images-0-of-1.jsonl").open("a") as stream:
        stream.write('{"image_id": \n' + json.dumps(line("b")) + "\n")
    with pytest.raises(DataError, match="line 2 is broken"):
        list(read_run(tmp_path).lines())


def test_a_line_by_orjson_is_that_of_json() -> None:
    for value in (None, 0.5, 1.0, 1, 1e-05, 0.123457, -0.25, 1e15):
        overlap = Overlap(
            (TruthSegment(7, 1, 3, 3.5 if value else None, True),),
            (PredictedSegment(9, 2, 4, value),),
            np.array([[0, 1, 1], [1, 1, 3]], np.int64),
        )
        one = {"image_id": 'é"\\\n\x7f', "group": "", "truth": "ab", "overlap": overlap, "semantic": [[0, 1, 4]]}
        assert json_line(one) == canonical_json({**one, "overlap": overlap.to_json()})
