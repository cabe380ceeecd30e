"""Checkpoints give their arrays and tensors and run nothing."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.adapters.weights_only import Inert, load_pickle, load_torch, tensors_of
from bench.errors import ModelError


class Harm:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.path}'",)


class Nested:
    """What training leaves behind: an object with a state, in a list, a set and a dictionary's key."""

    def __init__(self) -> None:
        self.log = [1.0, {"of": getattr}]


def content(harm: Path) -> dict[str, Any]:
    weights = collections.OrderedDict(a=torch.arange(6.0).reshape(2, 3), b=torch.nn.Parameter(torch.ones(2).half()))
    beside = {"log": [Nested(), {Nested()}, {Nested(): 1}], "harm": Harm(harm), "lr": 0.1, "size": torch.Size([2])}
    return {"state_dict": weights, "meta": {"classes": ("a", "b"), "when": np.float64(3.5)}, "beside": beside}


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_and_code_does_not_run(tmp_path: Path, zipped: bool) -> None:
    file, harm = tmp_path / "it.pth", tmp_path / "harm"
    torch.save(content(harm), file, _use_new_zipfile_serialization=zipped)
    loaded = load_torch(file)
    assert not harm.exists()
    assert loaded["meta"] == {"classes": ("a", "b"), "when": 3.5}
    assert loaded["beside"]["lr"] == 0.1 and isinstance(loaded["beside"]["harm"], Inert)
    tensors = tensors_of(loaded, file)
    assert torch.equal(tensors["a"], torch.arange(6.0).reshape(2, 3)) and tensors["b"].dtype == torch.float16


def test_the_harm_is_real_where_a_file_is_trusted(tmp_path: Path) -> None:
    file, harm = tmp_path / "it.pth", tmp_path / "harm"
    torch.save({"state_dict": {"a": torch.ones(1)}, "harm": Harm(harm)}, file)
    load_torch(file, trusted=True)
    assert harm.exists()


@pytest.mark.parametrize("protocol", [1, 2, 4, 5])
def test_a_pickle_gives_its_arrays_alone(tmp_path: Path, protocol: int) -> None:
    file, harm = tmp_path / "it.pkl", tmp_path / "harm"
    arrays = {"w": np.arange(4, dtype=np.float32).reshape(2, 2), "name": "x", "one": np.float32(2)}
    file.write_bytes(pickle.dumps({"model": arrays, "harm": Harm(harm), "author": Nested()}, protocol=protocol))
    loaded = load_pickle(file)
    assert not harm.exists()
    np.testing.assert_array_equal(loaded["model"]["w"], arrays["w"])
    assert loaded["model"]["one"] == 2 and isinstance(loaded["author"], Inert)


def test_weights_that_are_no_tensors_are_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "it.pth"
    torch.save({"state_dict": {"a": Nested()}}, file)
    with pytest.raises(ModelError, match="'a' is not a plain tensor; `trust_pickle: true`"):
        tensors_of(load_torch(file), file)


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02}q\x00."])
def test_what_is_no_checkpoint_is_told(tmp_path: Path, content: bytes) -> None:
    for file, load in ((tmp_path / "it.pkl", load_pickle), (tmp_path / "it.pth", load_torch)):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=file.name):
            tensors_of(load(file), file)
    with pytest.raises(ModelError, match="cannot be read"):
        load_pickle(tmp_path / "none.pkl")
    with pytest.raises(ModelError, match="cannot be read"):
        load_torch(tmp_path / "none.pth")
