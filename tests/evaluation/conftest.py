"""The command line called in this process, and the little study."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from little import Call, write_scenes, write_study


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def call(scenes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call("suite", ...)`: exit code, stdout, stderr."""
    from bench.cli import main

    monkeypatch.setenv("CITYSCAPES_DATASET", str(scenes))

    def answer(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *(str(a) for a in arguments)])
        with pytest.raises(SystemExit) as leave:
            main()
        said = capsys.readouterr()
        return int(leave.value.code or 0), said.out, said.err

    return answer


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path)
