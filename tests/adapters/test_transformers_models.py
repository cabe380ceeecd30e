import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_networks import SIDE

from bench.errors import ModelError
from bench.fusion.presets import PRESETS
from bench.models.loading import load_model
from bench.models.model_file import InputSize
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.types import Image

torch = pytest.importorskip("torch")
models: Any = pytest.importorskip("bench.adapters.transformers_models")

Picture = Callable[[int, int], Image]


def spec_of(folder: Path, **changes: Any) -> ModelSpec:
    """The shipped family on this folder, with every query kept: random weights pass no threshold."""
    keep_all = {"fusion.score_threshold": 0.0, "fusion.overlap_threshold": 0.0}
    spec = resolve_model("mask2former", "minicity", checkpoint=str(folder), overrides=keep_all)
    return replace(spec, **{"input": InputSize(64, 128), **changes})


def test_a_prediction_has_the_size_of_the_image_and_ids_of_the_space(tiny_checkpoint: Path, picture: Picture) -> None:
    adapter = load_model(spec_of(tiny_checkpoint), "cpu")
    image = picture(50, 90)
    (output,) = adapter.infer([adapter.preprocess(image)])
    assert (output.padded_size, output.image_size) == ((64, 128), (64, 115))
    prediction = adapter.postprocess(output, image.size)
    assert prediction.panoptic.size == (50, 90)
    assert len(prediction.panoptic.segments_info) >= 5
    assert {s.category_id for s in prediction.panoptic.segments_info} <= set(adapter.categories.ids)
    assert prediction.semantic is not None
    assert set(np.unique(prediction.semantic).tolist()) <= set(adapter.categories.ids)


def test_the_logits_are_those_of_transformers(tiny_checkpoint: Path, picture: Picture) -> None:
    import transformers

    adapter = load_model(spec_of(tiny_checkpoint), "cpu")
    image = picture(64, 128)
    (output,) = adapter.infer([adapter.preprocess(image)])
    pixels = (image.rgb.astype(np.float32) - models.PIXEL_MEAN) / models.PIXEL_STD
    model = transformers.Mask2FormerForUniversalSegmentation.from_pretrained(tiny_checkpoint).eval()
    with torch.inference_mode():
        reference = model(pixel_values=torch.from_numpy(pixels.transpose(2, 0, 1)[None]))
    assert torch.equal(output.class_logits, reference.class_queries_logits[0])
    assert torch.equal(output.mask_logits, reference.masks_queries_logits[0])


def test_a_batch_is_padded_to_its_largest_image(tiny_checkpoint: Path, picture: Picture) -> None:
    adapter = load_model(spec_of(tiny_checkpoint), "cpu")
    ready = [adapter.preprocess(picture(64, 128)), adapter.preprocess(picture(64, 70))]
    wide, narrow = adapter.infer(ready)
    assert wide.padded_size == narrow.padded_size == (64, 128)
    assert (wide.image_size, narrow.image_size) == ((64, 128), (64, 70))
    assert adapter.postprocess(narrow, (64, 70)).panoptic.size == (64, 70)


def test_a_batch_may_be_collated_before(tiny_checkpoint: Path, picture: Picture) -> None:
    adapter: Any = load_model(spec_of(tiny_checkpoint), "cpu")
    ready = [adapter.preprocess(picture(64, 128)), adapter.preprocess(picture(64, 70))]
    for one, other in zip(adapter.infer(ready), adapter.infer(adapter.collate(ready)), strict=True):
        assert torch.equal(one.mask_logits, other.mask_logits) and one.image_size == other.image_size


def test_pixels_are_normalized_as_by_the_formula() -> None:
    """In every bit, for every value of every channel."""
    values = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2)
    expected = ((values - models.PIXEL_MEAN) / models.PIXEL_STD).transpose(2, 0, 1)
    found = models.normalized(values)
    assert found.dtype == np.float32 and np.array_equal(found, expected) and found.flags["C_CONTIGUOUS"]


def test_the_network_is_compiled(tiny_checkpoint: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch compiles computes the logits, on the first batch and not before."""
    compiled: list[Any] = []
    calls: list[Any] = []

    def traced(network: Any) -> Any:
        compiled.append(network)
        return lambda *inputs, **named: (calls.append(network), network(*inputs, **named))[1]  # type: ignore

    monkeypatch.setattr("torch.compile", traced)
    adapter: Any = load_model(spec_of(tiny_checkpoint, compile=True), "cpu")
    assert adapter.compiled and compiled[-1] is adapter.model and adapter.model not in calls
    (output,) = adapter.infer([adapter.preprocess(picture(64, 64))])
    assert calls[-1] is adapter.model
    monkeypatch.undo()
    usual: Any = load_model(spec_of(tiny_checkpoint), "cpu")
    assert torch.equal(output.mask_logits, usual.infer([usual.preprocess(picture(64, 64))])[0].mask_logits)


def test_no_compiler(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(network: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr("torch.compile", fail)
    with pytest.raises(ModelError, match=r"--compile: torch cannot compile for cpu here .*no C.. compiler.*leave the"):
        load_model(spec_of(tiny_checkpoint, compile=True), "cpu")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_runs(tiny_checkpoint: Path, picture: Picture, precision: str) -> None:
    adapter = load_model(spec_of(tiny_checkpoint, precision=precision), "cpu")
    (output,) = adapter.infer([adapter.preprocess(picture(64, 64))])
    assert output.class_logits.dtype == torch.float32
    assert torch.isfinite(output.mask_logits).all()


@pytest.mark.parametrize(
    ("size", "to", "scaled"),
    [
        ((480, 640), InputSize(800, 1333), (800, 1067)),
        ((427, 640), InputSize(800, 1333), (800, 1199)),
        ((300, 640), InputSize(800, 1333), (625, 1333)),  # the longer side is the limit
        ((1024, 2048), InputSize(1024, 2048), (1024, 2048)),
    ],
)
def test_the_scale_is_that_of_the_papers(size: tuple[int, int], to: InputSize, scaled: tuple[int, int]) -> None:
    assert models.scaled_size(size, to) == scaled


def _broken(folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    return copy


def test_missing_files_are_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = _broken(tiny_checkpoint, tmp_path)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        load_model(spec_of(copy), "cpu")
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(spec_of(copy), "cpu")


def test_broken_weights_are_a_model_error(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = _broken(tiny_checkpoint, tmp_path)
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(spec_of(copy), "cpu")


def test_an_incomplete_checkpoint_is_a_model_error(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = _broken(tiny_checkpoint, tmp_path)
    tensors = load_file(copy / "model.safetensors")
    tensors.pop("class_predictor.weight")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 tensors .* are missing, first class_predictor\.weight"):
        load_model(spec_of(copy), "cpu")


def test_pickled_weights_that_run_code_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = _broken(tiny_checkpoint, tmp_path)
    (copy / "model.safetensors").unlink()
    torch.save({"weight": Bomb(tmp_path / "exploded")}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(spec_of(copy), "cpu")
    assert not (tmp_path / "exploded").exists()


class Bomb:
    """Unpickling it touches a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"0": "sky"}, "class 'sky' stands where cityscapes-19 has 'road'"),
        ({"19": "tunnel"}, "20 classes, but cityscapes-19 has 19"),
    ],
)
def test_classes_of_another_space_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    copy = _broken(tiny_checkpoint, tmp_path)
    config = json.loads((copy / "config.json").read_text())
    names = {int(key): name for key, name in {**config["id2label"], **change}.items()}
    with pytest.raises(ModelError) as error:
        models.class_columns(spec_of(copy), names)
    assert said in str(error.value)


FOLDERS = {
    "detr": InputSize(64, 128, 1), "eomt": InputSize(SIDE, SIDE, SIDE), "mask2former": InputSize(64, 128),
    "maskformer": InputSize(64, 128), "oneformer": InputSize(64, 128),
}  # fmt: skip


def loaded(family: str, folder: Path, **changes: Any) -> Any:
    """The family's adapter on this folder, with every query kept."""
    keep_all = {"fusion.score_threshold": 0.0, "fusion.overlap_threshold": 0.0}
    spec = resolve_model(family, "minicity", checkpoint=str(folder), overrides=keep_all)
    return load_model(replace(spec, **{"input": FOLDERS[family], **changes}), "cpu")


def reference(model_class: str, folder: Path, pixels: np.ndarray, **more: Any) -> Any:
    import transformers

    model = getattr(transformers, model_class).from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(pixel_values=torch.from_numpy(pixels), **more)


def normalised(image: Image) -> np.ndarray:
    """(3, H, W)"""
    return ((image.rgb.astype(np.float32) - models.PIXEL_MEAN) / models.PIXEL_STD).transpose(2, 0, 1)


@pytest.mark.parametrize("family", ["detr", "maskformer"])
def test_the_logits_of_a_batch_are_those_of_transformers(
    tiny: Callable[[str], Path], picture: Picture, family: str
) -> None:
    """The smaller image lies at the upper left; DETR is told where it ends."""
    adapter = loaded(family, tiny(family))
    images = [picture(64, 128), picture(64, 96)]
    outputs = adapter.infer([adapter.preprocess(image) for image in images])
    pixels, real = np.zeros((2, 3, 64, 128), dtype=np.float32), torch.zeros(2, 64, 128, dtype=torch.int64)
    for i, image in enumerate(images):
        pixels[i, :, :, : image.size[1]], real[i, :, : image.size[1]] = normalised(image), 1
    raw = reference(adapter.model_class, tiny(family), pixels, pixel_mask=real)
    if family == "detr":
        classes, masks = raw.logits, raw.pred_masks
    else:
        classes, masks = raw.class_queries_logits, raw.masks_queries_logits
    for i, output in enumerate(outputs):
        assert torch.equal(output.class_logits, classes[i])
        assert torch.equal(output.mask_logits, masks[i])


def test_eomt_sees_a_square_with_black_around(tiny: Callable[[str], Path], picture: Picture) -> None:
    """As transformers' processor does it: padded before it is normalised, cut again before the resize."""
    import transformers

    adapter = loaded("eomt", tiny("eomt"), fusion=replace(PRESETS["mask2former"], score_threshold=0.0))
    image = picture(48, SIDE)
    (output,) = adapter.infer([adapter.preprocess(image)])
    assert (output.padded_size, output.image_size) == ((SIDE, SIDE), (48, SIDE))
    square = {"shortest_edge": SIDE, "longest_edge": SIDE}
    processor = transformers.EomtImageProcessorPil(size=square, do_pad=True)
    pixels = processor(image.rgb, return_tensors="np")["pixel_values"]
    raw = reference("EomtForUniversalSegmentation", tiny("eomt"), pixels)
    torch.testing.assert_close(output.mask_logits, raw.masks_queries_logits[0], rtol=1e-3, atol=1e-3)
    stuff = np.flatnonzero(~adapter.categories.isthing).tolist()
    (theirs,) = processor.post_process_panoptic_segmentation(raw, [image.size], threshold=0.0, stuff_classes=stuff)
    ours = adapter.postprocess(output, image.size).panoptic
    assert [s["label_id"] for s in theirs["segments_info"]] == [
        adapter.categories.index_of[s.category_id] for s in ours.segments_info
    ]
    assert np.mean(theirs["segmentation"].numpy() + 1 != ours.id_map) < 0.01


def test_eomt_of_another_size_is_refused(tiny: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=f"takes squares of {SIDE} px and the input is 512, 512, 512"):
        loaded("eomt", tiny("eomt"), input=InputSize(512, 512, 512))


def test_oneformer_is_told_the_panoptic_task(tiny: Callable[[str], Path], picture: Picture) -> None:
    import transformers

    adapter = loaded("oneformer", tiny("oneformer"))
    image = picture(64, 128)
    (output,) = adapter.infer([adapter.preprocess(image)])
    tokenizer: Any = transformers.CLIPTokenizer.from_pretrained(tiny("oneformer"))
    text = tokenizer(["the task is panoptic"], padding="max_length", max_length=77)
    task = torch.tensor(text["attention_mask"]) * torch.tensor(text["input_ids"])
    assert torch.equal(adapter.task, task)
    assert len(set(task[0].tolist())) > 8
    raw = reference(adapter.model_class, tiny("oneformer"), normalised(image)[None], task_inputs=task)
    assert torch.equal(output.class_logits, raw.class_queries_logits[0])
    assert torch.equal(output.mask_logits, raw.masks_queries_logits[0])


def test_oneformer_without_its_tokenizer(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    copy = _broken(tiny("oneformer"), tmp_path)
    (copy / "merges.txt").unlink()
    with pytest.raises(ModelError, match=r"merges\.txt of the CLIP tokenizer"):
        loaded("oneformer", copy)


@pytest.mark.parametrize(
    ("size", "scaled"), [((480, 640), (800, 1066)), ((640, 480), (1066, 800)), ((300, 640), (625, 1333))]
)
def test_detr_cuts_to_whole_pixels(size: tuple[int, int], scaled: tuple[int, int]) -> None:
    """The sizes are those of transformers' own processor."""
    from transformers.image_transforms import get_size_with_aspect_ratio

    assert models.scaled_down_size(size, InputSize(800, 1333)) == scaled
    assert get_size_with_aspect_ratio(size, 800, 1333) == scaled


def test_detrs_head_for_coco_is_read_by_category_id(tmp_path: Path) -> None:
    spec = resolve_model("detr", "coco")
    anonymous = {i: f"LABEL_{i}" for i in range(250)}
    named = {**anonymous, **{c.id: c.name for c in spec.space if c.isthing}}
    columns = models.class_columns(spec, named)
    assert columns == list(spec.space.ids)
    logits = torch.randn(2, 5, 251, generator=torch.Generator().manual_seed(0))
    folded = models.fold(logits, columns).softmax(-1)
    torch.testing.assert_close(folded[..., :-1], logits.softmax(-1)[..., columns])
    torch.testing.assert_close(folded.sum(-1), torch.ones(2, 5))
    with pytest.raises(ModelError, match="class 'dog' stands where coco-133 has 'cat'"):
        models.class_columns(spec, {**named, 17: "dog"})


def test_another_spelling_is_let_pass_but_not_another_space() -> None:
    spec = resolve_model("mask2former", "minicity")
    names = dict(enumerate(c.name for c in spec.space))
    assert models.class_columns(spec, {**names, 0: "Road"}) is None
    with pytest.raises(ModelError, match="class 'x0' stands where cityscapes-19 has 'road'"):
        models.class_columns(spec, {i: f"x{i}" for i in names})
