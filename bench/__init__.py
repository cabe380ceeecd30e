"""Python API of panoptic-bench, a benchmark of panoptic segmentation models.

Load a data set, run a model, score files of predictions, compare runs:

>>> import bench
>>> data = bench.load_dataset("minicity:demo").limited(2)
>>> run = bench.run("./mine.yaml", data, "results")  # or "mask2former", or any model of `bench models`
>>> run.score.images, 0 < run.score.PQ.all.PQ < 1
(2, True)
>>> again = bench.score(run.folder / "predictions", data, "results", name="from files")
>>> again.score == run.score
True
>>> bench.compare(run, again).to_json()["PQ"]["difference"]
0.0

Frames of pandas have a row a run, or a row a class:

>>> bench.to_frame([run, again])["PQ"].nunique(), len(run.to_frame())
(1, 19)

`bench.load_model` returns a model for prediction. All expected errors are subclasses of `BenchError`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.comparison import compare
    from bench.analysis.ranking import to_frame
    from bench.datasets.registry import load_dataset
    from bench.errors import BenchError
    from bench.evaluation.run import run
    from bench.evaluation.score import score
    from bench.models.loading import load_model

from bench.__version__ import __version__ as __version__

__all__ = ["BenchError", "compare", "load_dataset", "load_model", "run", "score", "to_frame"]

_HOME = {
    "BenchError": "bench.errors",
    "compare": "bench.analysis.comparison",
    "load_dataset": "bench.datasets.registry",
    "load_model": "bench.models.loading",
    "run": "bench.evaluation.run",
    "score": "bench.evaluation.score",
    "to_frame": "bench.analysis.ranking",
}


def __getattr__(name: str) -> Any:
    """Import a public name on access, so that `import bench` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
