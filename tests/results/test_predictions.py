import json
import re
import unicodedata
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bench.errors import DataError
from bench.io.hashing import FileDigests
from bench.results.prediction_writer import PredictionWriter
from bench.results.predictions import open_predictions, safe_file_stem
from bench.types import Categories, Category, Panoptic, Prediction, SegmentInfo

SPACE = Categories((Category(7, "road", False, (1, 2, 3)), Category(300, "car", True, (4, 5, 6))))


def prediction(semantic: bool = True) -> Prediction:
    panoptic = Panoptic.from_ids(np.array([[1, 1, 0], [1, 9, 9]]), {1: SegmentInfo(7, score=0.9), 9: SegmentInfo(300)})
    return Prediction(panoptic, np.array([[7, 7, 300], [7, 300, 300]], dtype=np.int32) if semantic else None)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write("b", prediction())
        writer.write("a", prediction(semantic=False))
        writer.finish(["a", "b"], SPACE)
    folder = open_predictions(tmp_path)
    assert list(folder.annotations) == ["a", "b"]
    read, made = folder.read("b", SPACE), prediction()
    assert np.array_equal(read.panoptic.id_map, made.panoptic.id_map)
    assert [s.category_id for s in read.panoptic.segments_info] == [7, 300]
    assert read.panoptic.segments_info[0].score == 0.9
    assert read.semantic is not None and made.semantic is not None
    assert np.array_equal(read.semantic, made.semantic)
    assert folder.read("a", SPACE).semantic is None


def test_a_torn_annotation_is_written_again(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write("a", prediction())
        writer.write("b", prediction())
    file = tmp_path / "annotations.jsonl"
    file.write_bytes(file.read_bytes()[:-4])
    with PredictionWriter(tmp_path) as writer:
        writer.write("b", prediction())
        writer.finish(["a", "b"], SPACE)
    assert list(open_predictions(tmp_path).annotations) == ["a", "b"]


def test_the_digest_sees_the_pixels(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write("a", prediction())
        writer.finish(["a"], SPACE)
    before = open_predictions(tmp_path).digest(FileDigests())
    assert open_predictions(tmp_path).digest(FileDigests()) == before
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + b"!")
    assert open_predictions(tmp_path).digest(FileDigests()) != before


def test_a_missing_prediction_is_named(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.finish([], SPACE)
    with pytest.raises(DataError, match="no prediction for image 'a'"):
        open_predictions(tmp_path).read("a", SPACE)
    with pytest.raises(DataError, match="no predictions here"):
        open_predictions(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("image_id", "legible"),
    [("../../etc/passwd", "_.._etc_passwd"), ("", "_"), ("..", "_"), ("ADE_val_1", "ADE_val_1"), ("街道 1", "街道 1"),
     ("con", "con"), ("nul.x", "nul_x"), ("a.", "a_"), (".a", "a"), ("x" * 300, "x" * 120), ("街" * 300, "街" * 40)],
)  # fmt: skip
def test_an_id_that_is_no_plain_name_stays_legible(image_id: str, legible: str) -> None:
    assert safe_file_stem(image_id).rpartition("~")[0] == legible.replace(".", "_")


@pytest.mark.parametrize("image_id", ["a_b-1.x", "aachen_000000_000019", "000000000139", "7"])
def test_a_plain_id_is_its_own_name(image_id: str) -> None:
    assert safe_file_stem(image_id) == image_id


def test_no_two_ids_have_one_file_on_any_file_system() -> None:
    """Drawn ids, and what differs in case, normal form or what a name cannot hold; compared as such systems compare."""
    draw = Random(0)
    alphabets = [
        "abAB01",
        'aA./\\\\:*?"<>| \0\n',
        "éÉe\u0301E\u0301ßſsS",
        "街道城市",
        "\U0001f600\u200d\u0130iIı.",
        "~%_-.",
    ]
    ids = {"".join(draw.choices(draw.choice(alphabets), k=draw.choice((1, 2, 3, 8, 250)))) for _ in range(1000)}
    ids |= {one.swapcase() for one in ids} | {unicodedata.normalize("NFD", one) for one in ids}
    ids |= {safe_file_stem(one) for one in ids} | {"con", "CON", "con.x", "aux", "a", "a.", "a ", "", "."}
    names = [safe_file_stem(one) for one in sorted(ids)]
    assert len(ids) > 1000
    assert len(
        {unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold()) for name in names}
    ) == len(ids)
    for name in names:
        assert len(f".{name}.png.part".encode()) < 200
        assert not re.search(r'[/\\\\:*?"<>|\0\n]|^[. ]|[. ]$|^(con|aux|nul|prn)(\.|$)', name)


def test_every_image_has_a_file(tmp_path: Path) -> None:
    ids = ["a/1", "a_1", "a:1", "A_1", "街道", "城市", "é", "e\u0301", "x" * 300]
    with PredictionWriter(tmp_path) as writer:
        for image_id in ids:
            writer.write(image_id, prediction())
        writer.finish(ids, SPACE)
    folder = open_predictions(tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == len(list(tmp_path.glob("semantic/*.png"))) == len(ids)
    for image_id in ids:
        assert (tmp_path / folder.annotations[image_id]["file_name"]).is_file()
        assert folder.read(image_id, SPACE).semantic is not None


def test_names_of_older_versions_are_read(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write("ADE/val 1", prediction())
        writer.finish(["ADE/val 1"], SPACE)
    file = tmp_path / "predictions.json"
    written = json.loads(file.read_text())["annotations"][0]["file_name"]
    for folder in (tmp_path, tmp_path / "semantic"):
        (folder / written).rename(folder / "ADE_val_1.png")
    file.write_text(file.read_text().replace(written, "ADE_val_1.png"))
    assert open_predictions(tmp_path).read("ADE/val 1", SPACE).semantic is not None


@pytest.mark.parametrize("image_id", ["ADE_1", "街道"])
def test_a_semantic_map_may_be_called_by_the_id(image_id: str, tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write(image_id, prediction())
        writer.finish([image_id], SPACE)
    (file,) = tmp_path.glob("semantic/*.png")
    file.rename(file.with_name(f"{image_id}.png"))
    assert open_predictions(tmp_path).read(image_id, SPACE).semantic is not None
