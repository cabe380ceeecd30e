"""A run in progress: what is checked, parsed and hashed once, and what its errors promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import write_model, write_tree

from bench.datasets.dataset import Dataset
from bench.datasets.registry import load_dataset
from bench.errors import DataError, ModelError, PartialRun
from bench.evaluation.run import run
from bench.evaluation.score import score
from bench.io.hashing import FileDigests
from bench.models import user_code, weights
from bench.results.predictions import safe_file_stem

HIDDEN = "\nimport importlib\nimportlib.import_module('hid' + 'den')\n"


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    write_tree(tmp_path / "data", 4)
    return load_dataset("cityscapes", tmp_path / "data")


@pytest.fixture
def yaml(tmp_path: Path) -> str:
    return str(write_model(tmp_path))


def counted(patch: pytest.MonkeyPatch, owner: object, name: str) -> list[Any]:
    """The first arguments of all calls of a function, which is still called."""
    calls: list[Any] = []
    function: Callable[..., Any] = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        calls.append(given[0])
        return function(*given, **named)

    patch.setattr(owner, name, call)
    return calls


def test_a_model_is_checked_and_parsed_once(
    data: Dataset, yaml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, parsed = counted(monkeypatch, weights, "require_packages"), counted(monkeypatch, user_code, "local_modules")
    run(yaml, data, tmp_path / "out")
    assert checks == ["mine/plain"]
    assert parsed == [tmp_path / "mine.py"]


def test_files_are_asked_for_their_digest_by_one_reader(
    data: Dataset, yaml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = counted(monkeypatch, FileDigests, "of")
    seen: list[tuple[int, int]] = []
    run(yaml, data, tmp_path / "out", on_file=lambda done, total: seen.append((done, total)))
    assert len(set(map(id, readers))) == 1
    assert seen[-1] == (8, 8)  # a picture and a truth of each image


@pytest.mark.parametrize(("overwrite", "command"), [(False, "the same command"), (True, "without --overwrite")])
def test_an_error_names_the_command_that_resumes(
    data: Dataset, yaml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool, command: str
) -> None:
    monkeypatch.setenv("FAKE_FAULT", f"{data.samples[2].image_id}=infer")
    with pytest.raises(ModelError, match=f"2 of 4 images are scored and kept; .*{command} resumes"):
        run(yaml, data, tmp_path / "out", overwrite=overwrite)


def test_images_of_unlisted_code_are_not_called_kept(
    data: Dataset, yaml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hidden.py").touch()
    code = tmp_path / "mine.py"
    code.write_text(code.read_text("utf-8") + HIDDEN, "utf-8")
    monkeypatch.setenv("FAKE_FAULT", f"{data.samples[2].image_id}=infer")
    with pytest.raises(ModelError, match=r"2 of 4 images are scored; .*computes them again"):
        run(yaml, data, tmp_path / "out")


def test_a_score_in_a_temporary_folder_keeps_nothing(data: Dataset, yaml: str, tmp_path: Path) -> None:
    made = run(yaml, data, tmp_path / "out").folder / "predictions"
    (made / f"{safe_file_stem(data.samples[1].image_id)}.png").write_bytes(b"no PNG")
    with pytest.raises(DataError, match=r"\n1 of 4 images are scored; without --out they are not kept$"):
        score(made, data, tmp_path / "scratch", keep_predictions="none", identified=False)


def test_lines_of_changed_files_do_not_count_as_kept(data: Dataset, yaml: str, tmp_path: Path) -> None:
    def touch(done: int, total: int) -> None:
        if done == total:
            Path(str(data.samples[0].image_file)).touch()

    with pytest.raises(PartialRun, match=r"1 images are dropped.*\n3 of 4 images are scored and kept"):
        run(yaml, data, tmp_path / "out", on_image=touch)
