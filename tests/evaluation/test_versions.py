"""versions.json is what the shipped files are."""

from __future__ import annotations

import json

import pytest

from bench.evaluation import versions


def test_the_record_is_current() -> None:
    """After an edit: raise the area's version if a number moves, then run `python -m bench.evaluation.versions`."""
    assert json.loads(versions.RECORD.read_text("utf-8")) == versions.current_record()


def test_every_area_is_recorded() -> None:
    recorded = set(versions.current_record())
    assert {"fusion/queries.py", "metrics/pq.py", "io/coco.py", "datasets/label_maps.py", "overlap.py",
            "_native/maps.c", "adapters/hub.py", "adapters/efficientps/network.py"} <= recorded  # fmt: skip
    assert not any(name.startswith(("reports", "cli")) for name in recorded)


def test_an_edited_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions.edited_files() == {}
    digest = versions._digest
    monkeypatch.setattr(versions, "_digest", lambda path: "x" if path.name == "queries.py" else digest(path))
    assert versions.edited_files() == {"fusion/queries.py": "x"}
