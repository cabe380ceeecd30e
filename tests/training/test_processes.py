"""Two processes train as one does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_runs import recipe_of, weights

from bench.training.train import train

SCRIPT = """
import sys
from pathlib import Path
from training_runs import recipe_of
from bench.training.train import train
train(recipe_of(**eval(sys.argv[1])), Path(sys.argv[2]), lambda report: None, Path(sys.argv[3]))
"""
# DETR's batch norm is frozen: the images of a batch know nothing of each other.
CHANGES = dict(family="detr", steps=3, checkpoints=1, at_once=1, weights="fp32")


def launch(out, root, rank, port):
    """One of two processes, as accelerate's own launcher would start it on CPUs."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    env = {**os.environ, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(Path(__file__).parent)}
    env |= {name: str(value) for name, value in told.items()}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, repr(CHANGES), str(out), str(root)], env=env)


@pytest.mark.parity
def test_two_processes_end_with_the_weights_of_one(root, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [launch(tmp_path / "two", root, rank, port) for rank in (0, 1)]
    assert [process.wait() for process in started] == [0, 0]
    one, two = (
        weights(train(recipe_of(**CHANGES), tmp_path / "one", lambda report: None, root)),
        weights(tmp_path / "two"),
    )
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
