"""What is read from maps and lists; what is refused: pickles that run code, sizes that lie, ids of other classes."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import dumps
import numpy as np
import pytest
from PIL import Image

from bench.datasets.label_spaces import LabelSpace, load_space
from bench.errors import DataError, UsageError
from bench.forms.arrays import read_map, replaced, values_of
from bench.forms.classes import Options
from bench.forms.coco import RenumberedCoco, check_ids
from bench.forms.folder import Folder, listed_segments, stem_of
from bench.forms.id_maps import IdMaps
from bench.forms.semantic import SemanticMaps
from bench.io.hashing import FileDigests
from bench.results.predictions import open_predictions
from bench.types import Panoptic

CITY, IKA = load_space("cityscapes-19"), load_space("ika-12")
SPACE = CITY.evaluated


def read(path: Path, coding: Any, *options: Any, **named: Any) -> Panoptic:
    maps = IdMaps("made", coding, Options(*options, **named), {"a": path}, {}, (), CITY.void)
    return maps.read("a", SPACE).panoptic


def found(panoptic: Panoptic) -> list[tuple[int, int]]:
    """(category id, pixels) of each segment, sorted."""
    return sorted(zip((s.category_id for s in panoptic.segments_info), panoptic.areas.tolist(), strict=True))


class Run:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_pickle_runs_nothing(tmp_path: Path, name: str) -> None:
    objects = np.array([Run(tmp_path / "ran"), []], dtype=object)
    save = np.save if name.endswith("npy") else np.savez
    save(tmp_path / name, objects, allow_pickle=True)
    with pytest.raises(DataError, match=r"it holds \w+\.mkdir; save arrays"):
        read_map(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    np.load(tmp_path / name, allow_pickle=True)["arr_0" if name.endswith("npz") else ()]
    assert (tmp_path / "ran").exists()  # numpy would have


def test_sizes_that_a_file_cannot_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 20, 1 << 20)})
    (tmp_path / "a.npy").write_bytes(header.getvalue())
    with pytest.raises(DataError, match="more than the file holds"):
        read_map(tmp_path / "a.npy")
    monkeypatch.setenv("BENCH_MAX_PIXELS", "1000")
    np.savez_compressed(tmp_path / "a.npz", np.zeros((300, 300), dtype=np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 12
    with pytest.raises(DataError, match="declares more than"):
        read_map(tmp_path / "a.npz")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, ">i4"])
def test_any_integers_are_ids(tmp_path: Path, dtype: Any) -> None:
    np.save(tmp_path / "a.npy", np.array([[7, 7, 8]], dtype=dtype))
    assert found(read(tmp_path / "a.npy", "cityscapes")) == [(7, 2), (8, 1)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_whole_floats_are_ids(tmp_path: Path, dtype: Any) -> None:
    """Up to where the next whole number is another float."""
    np.save(tmp_path / "a.npy", np.array([[0, -1, 7]], dtype=dtype))
    assert read_map(tmp_path / "a.npy")[0].tolist() == [[0, -1, 7]]
    for value in (0.5, np.nan, np.inf):
        np.save(tmp_path / "b.npy", np.array([[0, value]], dtype=dtype))
        with pytest.raises(DataError, match=r"b.npy: its map is \(1, 2\) float.*astype\(np.int32\)"):
            read_map(tmp_path / "b.npy")
    np.save(tmp_path / "b.npy", np.array([[2048 if dtype == np.float16 else 1 << 24]], dtype=dtype))
    with pytest.raises(DataError, match="integers were expected"):
        read_map(tmp_path / "b.npy")


def test_one_map_of_a_file_is_the_panoptic_one(tmp_path: Path) -> None:
    map_, other = np.array([[1, 2]]), np.array([[7, 8]])
    for named in ({"panoptic_seg": map_, "sem_seg": other}, {"sem_seg": map_, "scores": np.ones(3)}, {"x": map_}):
        np.savez(tmp_path / "a.npz", **named)  # type: ignore[arg-type]
        assert read_map(tmp_path / "a.npz")[0].tolist() == [[1, 2]]
    for named in ({"panoptic": map_, "sem_seg": other}, {"image_1": map_, "image_2": other}):
        np.savez(tmp_path / "a.npz", **named)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"a.npz: it holds \[.*one file for each image, the map as panoptic_seg"):
            read_map(tmp_path / "a.npz")


def test_the_only_list_of_objects_of_a_file_are_its_segments(tmp_path: Path) -> None:
    infos = np.array([{"id": 1, "category_id": 7}, {"id": 2, "category_id": 8}], dtype=object)
    np.savez(tmp_path / "a.npz", pan=np.array([[1, 2, 2]]), info=infos, names=np.array(["a"], dtype=object))
    assert found(read(tmp_path / "a.npz", "ids")) == [(7, 1), (8, 2)]


def test_void_is_what_the_option_names(tmp_path: Path) -> None:
    """-1 saved as unsigned is named as it is; what is not named is no void, where the named value is not in a map."""
    segments = json.dumps([{"id": 1.0, "category_id": 7.0}])
    for dtype, value in ((np.uint16, 65535), (np.uint32, 4294967295), (np.uint8, 255)):
        np.savez(tmp_path / "a.npz", panoptic_seg=np.array([[1, value]], dtype=dtype), segments_info=segments)
        with pytest.raises(DataError, match=f"--void {value} if"):
            read(tmp_path / "a.npz", "ids")
        assert found(read(tmp_path / "a.npz", "ids", void=(value,))) == [(7, 1)]
    np.savez(tmp_path / "a.npz", panoptic_seg=np.array([[1, -1]]), segments_info=segments)
    with pytest.raises(DataError, match="--void 255 --void -1 if"):
        read(tmp_path / "a.npz", "ids", void=(255,))


def test_values_and_their_replacement() -> None:
    for ids in (np.array([[5, -1], [70000, 5]]), np.array([[5, -1], [1 << 40, 5]])):
        values = values_of(ids)
        assert values.tolist() == sorted(set(ids.ravel().tolist()))
        assert replaced(ids, values, [10, 11, 12]).tolist() == [[11, 10], [12, 11]]


def test_instance_ids_hold_void_labels_groups_and_instances(tmp_path: Path) -> None:
    """29001 is a caravan, void; 24 a group of people; 24000 and 24999 the first and the last person."""
    rows = [[7, 7, 1, 29001, 24, 24000, 24999, 0]]
    Image.fromarray(np.array(rows, dtype=np.uint16)).save(tmp_path / "a.png")
    panoptic = read(tmp_path / "a.png", "cityscapes")
    assert found(panoptic) == [(7, 2), (24, 1), (24, 1), (24, 1)]
    assert [s.iscrowd for s in panoptic.segments_info] == [False, True, False, False]
    for value, message in ((7001, "class 7 is stuff"), (1013, "is category 1 "), (77, "is category 77 ")):
        Image.fromarray(np.full((1, 2), value, dtype=np.uint16)).save(tmp_path / "a.png")
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.png", "cityscapes")


def test_void_of_each_coding(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[-1, 7000, 24001, 0]]))
    assert found(read(tmp_path / "a.npy", "ids")) == [(7, 1), (24, 1)]
    assert found(read(tmp_path / "a.npy", "ids", void=(-1, 0, 7000))) == [(24, 1)]
    np.save(tmp_path / "a.npy", np.array([[0, 19, 1019, 1011, 2011, 10]]))  # road, void, void, two people, sky
    assert found(read(tmp_path / "a.npy", "mmdetection")) == [(7, 1), (23, 1), (24, 1), (24, 1)]
    np.save(tmp_path / "a.npy", np.array([[0, 3, 11 * 256 + 2]]))  # -1 is void where 0 is a class
    assert found(read(tmp_path / "a.npy", "ids", ids="contiguous", divisor=256)) == [(7, 1), (7, 1), (24, 1)]


def test_the_png_of_mmdetection_does_not_say_what_0_is(tmp_path: Path) -> None:
    Image.fromarray(dumps.rgb(np.array([[0, 1011, 10]]))).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"value 0 is void in the PNGs that mmdetection writes.*--void 0"):
        read(tmp_path / "a.png", "mmdetection")
    assert found(read(tmp_path / "a.png", "mmdetection", void=(0,))) == [(23, 1), (24, 1)]


@pytest.mark.parametrize(
    ("segments", "ids", "message"),
    [
        ([{"id": 1, "category_id": 7}], None, "ids .2. cover 1 pixels but are not in segments_info.*--void 2 if"),
        ([{"id": 1, "category_id": "7"}, {"id": 2, "category_id": 8}], None, "`category_id` is '7', not an integer"),
        ([{"id": 1, "category_id": 7, "isthing": "False"}], "dataset", "`isthing` is 'False', not an integer"),
        ([{"id": 1, "category_id": 7}, {"id": 2, "category_id": 8}, {"id": 3, "category_id": 8}], None, "no pixel has"),
        ([{"id": 1, "category_id": 7}, {"id": 1, "category_id": 8}], None, "id 1 twice"),
        ([{"id": 1, "category_id": 7}, {"id": 2, "category_id": 6}], None, "6 is not among the ids of the data set.*"
                                                                           "--ids contiguous"),
        ([{"id": 1, "category_id": 0, "isthing": True}, {"id": 2, "category_id": 1}], "contiguous", "thing there"),
        ([{"id": 1, "category_id": 0}, {"id": 2, "category_id": 1}], "separated", "no `isthing`"),
        ([{"id": 1.5, "category_id": 7}], None, "not an integer"),
        ([{"id": 1, "category_id": 7, "score": "high"}], None, "score 'high'.*leave it out"),
    ],
)  # fmt: skip
def test_segments_that_do_not_fit_are_refused(tmp_path: Path, segments: Any, ids: Any, message: str) -> None:
    np.savez(tmp_path / "a.npz", panoptic_seg=np.array([[1, 2, 0]]), segments_info=json.dumps(segments))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.npz", "ids", ids=ids)


def test_id_0_is_a_segment_where_it_is_listed(tmp_path: Path) -> None:
    """DETR numbers its segments from 0."""
    segments = json.dumps([{"id": 0, "category_id": 7}, {"id": 1, "category_id": 8}])
    np.savez(tmp_path / "a.npz", panoptic_seg=np.array([[0, 0, 1, -1]]), segments_info=segments)
    assert found(read(tmp_path / "a.npz", "ids")) == [(7, 2), (8, 1)]


def test_labels_outside_the_categories_are_refused(tmp_path: Path) -> None:
    """Train ids read as label ids would be void and other classes in silence; Cityscapes' own files may have void."""
    pixels = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    for name in ("a.png", "a_labelIds.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    plain = SemanticMaps("made", Options(), {"a": tmp_path / "a.png"}, CITY)
    unnamed = SemanticMaps("made", Options(), {"a": tmp_path / "a_labelIds.png"}, CITY)
    with pytest.raises(DataError, match=r"label 0 is not among the categories by --ids dataset.*--ids contiguous"):
        plain.read("a", SPACE)
    with pytest.raises(
        DataError, match=r"a_labelIds.png: most pixels have void labels.*--ids train-ids.*--ids dataset"
    ):
        unnamed.read("a", SPACE)
    label_ids = Options(ids="dataset")
    official = SemanticMaps("made", label_ids, {"a": tmp_path / "a_labelIds.png"}, CITY).read("a", SPACE).semantic
    assert official is not None
    assert not np.isin(official, SPACE.ids).any()
    trained = SemanticMaps("made", Options(ids="train-ids"), {"a": tmp_path / "a.png"}, CITY).read("a", SPACE)
    assert trained.semantic is not None
    assert trained.semantic.tolist()[0][:3] == [7, 8, 11]


def test_colors_are_those_of_the_label_space(tmp_path: Path) -> None:
    colors = np.array([[c.color for c in IKA.categories] + [(0, 0, 0)]], dtype=np.uint8)
    Image.fromarray(colors).save(tmp_path / "a.png")
    made = SemanticMaps("made", Options(), {"a": tmp_path / "a.png"}, IKA).read("a", IKA.evaluated)
    assert made.semantic is not None
    assert made.semantic[0, :-1].tolist() == list(IKA.evaluated.ids)
    with pytest.raises(DataError, match=r"a.png: colour \(0, 0, 0\)"):
        SemanticMaps("made", Options(), {"a": tmp_path / "a.png"}, LabelSpace(IKA.categories)).read("a", IKA.evaluated)


def test_a_palette_of_label_colors_is_read_by_its_colors(tmp_path: Path) -> None:
    """An optimiser orders the palette as it likes; a palette of other colours is one of numbers."""
    pixels = np.array([[2, 1, 0, 3]], dtype=np.uint8)
    person, road, sky = (SPACE.items[SPACE.index_of[number]] for number in (24, 7, 23))
    for palette, expected in (
        ([*person.color, *road.color, *sky.color, 0, 0, 0], [23, 7, 24]),
        ([*person.color, *road.color, *sky.color, 9, 9, 9], [11, 8, 7]),
    ):
        image = Image.fromarray(pixels)
        image.putpalette(palette)
        image.save(tmp_path / "a.png")
        made = SemanticMaps("made", Options(ids="train-ids"), {"a": tmp_path / "a.png"}, CITY).read("a", SPACE)
        assert made.semantic is not None
        assert made.semantic[0, :3].tolist() == expected


def test_train_ids_have_no_void_labels(tmp_path: Path) -> None:
    """0, 10 and 9 are void as label ids, and road, sky and terrain as train ids."""
    Image.fromarray(np.array([[0, 10, 9, 255, 11001]], dtype=np.uint16)).save(tmp_path / "a_gtFine_instanceIds.png")
    made = read(tmp_path / "a_gtFine_instanceIds.png", "cityscapes", ids="train-ids")
    assert found(made) == [(7, 1), (22, 1), (23, 1), (24, 1)]


def test_a_palette_of_listed_ids_is_refused(tmp_path: Path) -> None:
    """An optimiser made it of an RGB PNG of ids, and its indices may be listed ids. Other palettes mean nothing."""
    segments = {"a": [{"id": 1, "category_id": 7}, {"id": 2, "category_id": 8}]}
    image = Image.fromarray(np.array([[0, 1, 2, 2]], dtype=np.uint8))
    for palette in ([0, 0, 0, 2, 0, 0, 1, 0, 0], [0, 0, 0, 128, 64, 128, 70, 130, 180]):
        image.putpalette(palette)
        image.save(tmp_path / "a.png")
        maps = IdMaps("made", "ids", Options(), {"a": tmp_path / "a.png"}, segments)
        if palette[3] == 128:
            assert found(maps.read("a", SPACE).panoptic) == [(7, 1), (8, 2)]
            continue
        with pytest.raises(DataError, match=r"a.png, image 'a': the colours of its palette.*convert\(\"RGB\"\)"):
            maps.read("a", SPACE)


def test_a_jpeg_of_labels_is_called_one(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(tmp_path / "a.png", "JPEG")
    with pytest.raises(DataError, match=r"a.png: not a PNG but JPEG; write the labels as PNG"):
        read_map(tmp_path / "a.png")


def test_the_output_of_create_panoptic_imgs_with_train_ids(tmp_path: Path) -> None:
    """Its segment ids are instanceIds; only category_id becomes the train id, and 7 is another class then."""
    (tmp_path / "cityscapes_panoptic_val_trainId").mkdir()
    png = tmp_path / "cityscapes_panoptic_val_trainId" / "a_gtFine_panoptic.png"
    Image.fromarray(dumps.rgb(np.array([[7, 26001]]))).save(png)
    infos = [{"id": 7, "category_id": 0}, {"id": 26001, "category_id": 13}]
    content = {
        "annotations": [{"image_id": "a", "file_name": png.name, "segments_info": infos}],
        "categories": [{"id": i, "name": c.name, "isthing": int(c.isthing)} for i, c in enumerate(SPACE)],
    }
    (tmp_path / "cityscapes_panoptic_val_trainId.json").write_text(json.dumps(content))
    folder = open_predictions(tmp_path)
    with pytest.raises(DataError, match=r"category 0 is 'road', which has the id 7.*train-ids"):
        check_ids(folder, SPACE)
    made = RenumberedCoco(folder, Options(ids="train-ids"), "train-ids")
    assert found(made.read("a", SPACE).panoptic) == [(7, 1), (26, 1)]
    assert made.digest(FileDigests()) != folder.digest(FileDigests())
    del content["categories"]
    infos[1]["isthing"] = 1
    (tmp_path / "cityscapes_panoptic_val_trainId.json").write_text(json.dumps(content))
    infos[1]["category_id"] = 8
    (tmp_path / "cityscapes_panoptic_val_trainId.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="image 'a': category_id 8 is thing there, but 'sidewalk'"):
        check_ids(open_predictions(tmp_path), SPACE)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("aachen_000000_000019_leftImg8bit.png", "aachen_000000_000019"),
        ("results/aachen_000000_000019_gtFine_instanceIds.png", "aachen_000000_000019"),
        ("1_frame_000000_gtFine_labelColor.png", "1_frame_000000"),
        ("a_leftImg8bit_pred.npz", "a"),
        ("a_gtFine_leftImg8bit.png", "a"),
        ("a_gtFine_instanceTrainIds.PNG", "a"),
        ("000000000139.jpg", "000000000139"),
        ("v1.5", "v1.5"),
        ("_pred.png", "_pred"),
    ],
)
def test_the_stem_of_a_name(name: str, stem: str) -> None:
    assert stem_of(name) == stem


def test_two_files_of_one_image_are_refused() -> None:
    folder = Folder(Path("made"), (Path("made/a.npy"), Path("made/a_pred.png")))
    with pytest.raises(DataError, match=r"a.npy and a_pred.png are both of image 'a'"):
        folder.by_image(folder.maps)
    folder = Folder(Path("made"), (Path("made/s/a.npy"), Path("made/t/a.npy")))
    with pytest.raises(DataError, match=r"s/a.npy and t/a.npy are both of image 'a'.*rename one"):
        folder.by_image(folder.maps)


def test_lists_of_segments(tmp_path: Path) -> None:
    rows = [{"id": 1, "category_id": 7}]
    contents = {
        "coco": {"annotations": [{"image_id": 1, "file_name": "x.jpg", "segments_info": rows}]},
        "d2": [{"image_id": "b", "file_name": "y.jpg", "segments_info": rows}],
        "c_pred": rows,
        "d": {"segments_info": rows},
        "notes": {"segments": 3},
    }
    paths = []
    for name, content in contents.items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(content))
    lists = listed_segments(paths)
    assert set(lists.segments) == {"1", "b", "c", "d"}
    assert lists.file_names == {"1": "x.jpg", "b": "y.jpg"}
    assert lists.jsons == tuple(paths[:4])
    with pytest.raises(DataError, match="'b' has segments_info twice"):
        listed_segments([paths[1], paths[1]])


def test_ids_of_a_model_must_be_named(tmp_path: Path) -> None:
    for key in ("label_id", "isthing"):
        segments = json.dumps([{"id": 1, "category_id": 7, key: 1}])
        np.savez(tmp_path / "a.npz", panoptic_seg=np.array([[1]]), segments_info=segments)
        with pytest.raises(UsageError, match=f"`{key}`.*--ids contiguous"):
            read(tmp_path / "a.npz", "ids")
