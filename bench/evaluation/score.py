"""`bench.score`: scores prediction files. Imports no deep learning framework, so that it starts fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.datasets.dataset import Dataset
from bench.errors import PartialRun
from bench.evaluation.evaluator import score_predictions
from bench.evaluation.identity import image_inputs, run_identity
from bench.evaluation.session import RunSession, finished_run, run_folder
from bench.forms.classes import AUTO, Options
from bench.forms.opening import open_matched
from bench.io.hashing import FileDigests
from bench.metrics.matching import Protocol
from bench.parallel import WORKERS
from bench.results.image_line import Metrics
from bench.results.predictions import Keep, Predictions
from bench.results.run import Run, read_run
from bench.results.shards import WHOLE, Shard
from bench.types import ProgressCallback


def score(
    predictions: Predictions | Path | str,
    dataset: Dataset,
    out: Path | str = "results",
    *,
    name: str | None = None,
    form: Options = AUTO,
    workers: int = WORKERS,
    protocol: Protocol = "coco",
    keep_predictions: Keep = "copy",
    overwrite: bool = False,
    metrics: Metrics = (),
    shard: Shard = WHOLE,
    command: Sequence[str] = (),
    on_image: ProgressCallback | None = None,
    on_file: ProgressCallback | None = None,
    on_notice: Callable[[str], None] | None = None,
    identified: bool = True,
) -> Run:
    """Score prediction files. The run is like that of a model, and keeps the predictions.

    `predictions` is a folder or a JSON in a form of docs/predictions.md, `form` the options for reading it; `name`
    defaults to the folder's name. Raises DataError before anything is scored if an image has no prediction.
    COCO panoptic files are kept as they are: as copies, hard links, or by a reference to their folder; others are
    written as such. `on_notice` is called with the reason if they are kept otherwise than by `keep_predictions`.
    `on_file(done, total)` is called while files without a cached digest are hashed. If not `identified`, no file is
    hashed; only for a temporary `out`.

    >>> from bench.evaluation.damage import damage_dataset
    >>> from bench.datasets.registry import load_dataset
    >>> data = load_dataset("minicity:demo").limited(2)
    >>> done = score(damage_dataset(data, Path("damaged")), data, "results")
    >>> done.name, 0.5 < done.score.PQ.all.PQ < 1
    ('damaged', True)
    """
    opened = open_matched(Path(predictions) if isinstance(predictions, str) else predictions, dataset, form)
    made, data, labels = opened.predictions, opened.dataset, opened.labels
    digests = FileDigests()
    inputs = image_inputs(data, digests, pictures=False, on_file=on_file) if identified else None
    model = {"predictions": made.digest(digests, inputs) if inputs else ""}
    identity = run_identity(name or made.name, data, model, 1, protocol, metrics, labels=labels, inputs=inputs)
    folder = run_folder(out, data, identity)
    if not overwrite and (finished := finished_run(folder)) is not None:
        return finished
    with RunSession(
        folder, data, identity, inputs, digests,
        save_predictions=keep_predictions != "none", overwrite=overwrite, shard=shard, command=command,
    ) as session:  # fmt: skip
        notice = score_predictions(
            made, session, workers=workers, labels=labels, keep=keep_predictions, on_image=on_image
        )
        # By content, since making or removing a hard link moves the times of the file that it leads to.
        if inputs and made.digest(digests, inputs) != model["predictions"]:
            session.discard()
            raise PartialRun(f"{made.name}: the predictions changed while they were scored; repeat the command")
    if notice and on_notice:
        on_notice(f"--keep-predictions {keep_predictions}: {notice}")
    return read_run(folder)
