"""Real mmdetection and detectron2, each in its environment: small random models run like any other.

`make test-foreign` makes the environments (`BENCH_ENVS`); without them these tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from small_models import CONFIGS, write_yaml

from bench.datasets.dataset import Dataset
from bench.datasets.registry import load_dataset
from bench.errors import ModelError
from bench.evaluation.run import run
from bench.io.canonical_json import to_plain
from bench.models.environments import environment_status, interpreter, read_env
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.models.worker.deploy import copy_worker_files
from bench.models.worker.remote import RemoteAdapter
from bench.types import Image

pytestmark = pytest.mark.foreign
HERE = Path(__file__).parent


def environment(name: str) -> str:
    env = "mmdet" if name.endswith("mmdet") else "detectron2"
    if environment_status(read_env(env)) != "ready":
        pytest.skip(f"the environment {env!r} is not there; `make test-foreign` makes it")
    return env


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("minicoco").limited(3)


def make(folder: Path, name: str) -> Path:
    """The YAML of a small model, and its weights."""
    env = environment(name)
    yaml = write_yaml(folder, name, env)
    spec = resolve_model(str(yaml), "minicoco")
    script = HERE / ("make_mmdet.py" if env == "mmdet" else "make_detectron2.py")
    made = subprocess.run(
        [str(interpreter(env)), "-I", str(script), str(copy_worker_files(spec).folder), told(spec), spec.source],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    return yaml


def told(spec: ModelSpec) -> str:
    return json.dumps({**to_plain(spec), "space": to_plain(spec.space.items)})


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"), request.param)


def test_a_model_of_another_framework_runs_like_any_other(model: Path, data: Dataset, tmp_path: Path) -> None:
    spec = resolve_model(str(model), "minicoco")
    done = run(spec, data, tmp_path, batch_size=2)
    predicted = [len(line["overlap"]["predicted"]) for line in done.lines()]
    assert len(predicted) == 3 and min(predicted) >= 5, predicted
    assert done.meta.worker["packages"].keys() >= {"torch", "mmdet" if "mmdet" in spec.name else "numpy"}
    queries = spec.fusion.rule != "framework"
    assert all((line["semantic"] is not None) == queries for line in done.lines())
    print(json.dumps({"model": spec.name, "segments": predicted, "parameters": done.meta.parameters}))


def test_our_fusion_of_mask2former_s_logits_is_mmdetection_s_own(data: Dataset, tmp_path: Path) -> None:
    """Pixel by pixel, up to the two resizes that mmdetection does in one."""
    yaml = make(tmp_path, "mask2former-mmdet")
    images = [sample.read_image() for sample in data.samples]
    ours = predictions(resolve_model(str(yaml), "minicoco"), images)
    overrides = {"fusion.preset": "framework"}
    theirs = predictions(resolve_model(str(yaml), "minicoco", overrides=overrides), images)
    for a, b in zip(ours, theirs, strict=True):
        assert float((a == b).mean()) > 0.99


def predictions(spec: ModelSpec, images: list[Image]) -> list[np.ndarray]:
    """(H, W) category ids of each image's segments, 0 for void."""
    model = RemoteAdapter(spec, "cpu")
    maps = []
    try:
        for image in images:
            panoptic = model.postprocess(model.infer([model.preprocess(image)])[0], image.size).panoptic
            maps.append(np.array([0, *(s.category_id for s in panoptic.segments_info)])[panoptic.id_map])
    finally:
        model.close()
    return maps


def test_without_operators_and_without_consent_the_model_says_what_to_do(tmp_path: Path, data: Dataset) -> None:
    yaml = make(tmp_path, "mask2former-mmdet")
    yaml.write_text(yaml.read_text().replace("compiled_ops: stand-in", "compiled_ops: compiled"))
    with pytest.raises(ModelError, match="compiled_ops: stand-in"):
        run(resolve_model(str(yaml), "minicoco"), data, tmp_path / "out")
