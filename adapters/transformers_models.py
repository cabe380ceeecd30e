"""Query-based models of transformers, without its post-processing: adapters pass raw logits to `bench.fusion`."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.adapters.detr_masks import in_parts
from bench.adapters.hub import fetch, load_pretrained, read_config
from bench.errors import ModelError, describe_error
from bench.models.devices import device_name, own_stream, pick_device, synchronize, to_device
from bench.models.flops import counted, without_values
from bench.types import RGB, Categories, Image, Precision, Prediction

if TYPE_CHECKING:
    from bench.models.model_file import InputSize
    from bench.models.spec import ModelSpec

# Every checkpoint here was trained with the statistics of ImageNet, which preprocessor_config.json states for 0..1.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXEL_MEAN, PIXEL_STD = ((255 * np.array(values)).astype(np.float32) for values in (IMAGENET_MEAN, IMAGENET_STD))

VERSION = 1  # goes up with every change that moves a pixel of these models


@dataclass(frozen=True, eq=False)
class Output:
    """Raw logits of one image: (Q, C + 1) and (Q, h, w) float32 on the model's device; sizes are (H, W) in pixels."""

    class_logits: Any
    mask_logits: Any
    padded_size: tuple[int, int]
    image_size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Batch:
    """Padded images on the model's device: (B, 3, H, W) float32 pixels, the (B, H, W) int64 mask that is 1 in images,
    and their sizes (h, w)."""

    pixels: Any
    real: Any
    sizes: Sequence[tuple[int, int]]


class QueryModel:
    """Base class. `model_class` is the transformers class, `more_files` are files that it needs besides the weights.

    `padding` is the color, (3,) on the 0..255 scale, around images in a batch.
    """

    model_class = ""
    more_files: tuple[str, ...] = ()
    padding = PIXEL_MEAN

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        self.spec = spec
        self.categories = spec.space
        self.device = pick_device(device)
        folder = Path(spec.source) if spec.local else fetch(spec.source, spec.revision, self.more_files)
        # The hub's cache names the folder of a snapshot by its commit.
        self.revision = None if spec.local else folder.name
        self.hardware = device_name(self.device)
        self.before_loading(folder)
        self.model = load_pretrained(folder, self.model_class).to(self.device).eval().requires_grad_(False)
        self.compiled = spec.compile
        self.network = compiled(self.model, self.device) if spec.compile else self.model
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.columns = class_columns(spec, self.model.config.id2label)

    def before_loading(self, folder: Path) -> None:
        """Hook of a family to check or read the folder before its weights are loaded."""

    def scaled_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return scaled_size(size, self.spec.input)

    def logits(self, pixels: Any, real: Any) -> tuple[Any, Any]:
        """Return class and mask logits of (B, 3, H, W) pixels; `real` is (B, H, W) int64, 1 in images, 0 in padding."""
        out = self.network(pixel_values=pixels)
        return out.class_queries_logits, out.masks_queries_logits

    def preprocess(self, image: Image) -> NDArray[np.float32]:
        """Return (3, h, w) float32, resized to the spec's input size and normalized."""
        return normalized(resized(image.rgb, self.scaled_size(image.size)))

    def collate(self, batch: Sequence[NDArray[np.float32]]) -> Batch:
        """Pad images to one size (bottom and right, as detectron2 does) and copy them to the device."""
        import torch

        # The color is given before normalization: black is not 0 afterwards.
        fill = (self.padding - PIXEL_MEAN) / PIXEL_STD
        arrays = pad_batch(batch, self.spec.input.divisor, fill)
        pixels, real = to_device([torch.from_numpy(array) for array in arrays], self.device)
        return Batch(pixels, real, [(image.shape[1], image.shape[2]) for image in batch])

    def multiply_adds(self, image: Image) -> int | None:
        """Return the multiply-adds of one image, from tensor shapes alone (fake tensors); nothing is computed."""
        import torch

        batch = self.collate([self.preprocess(image)])
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            return counted(lambda: self.logits(without_values(batch.pixels), batch.real))

    def infer(self, batch: Batch | Sequence[NDArray[np.float32]]) -> list[Output]:
        """Run the network, and wait for the device. Images that are not collated yet are collated first."""
        import torch

        batch = batch if isinstance(batch, Batch) else self.collate(batch)
        with torch.inference_mode(), autocast(self.device, self.spec.precision):
            classes, masks = (logits.float() for logits in self.logits(batch.pixels, batch.real))
            classes = classes if self.columns is None else fold(classes, self.columns)
        # The time of the network is counted here and not in postprocess, which works on another stream.
        self.synchronize()
        size = int(batch.pixels.shape[-2]), int(batch.pixels.shape[-1])
        return [Output(c, m, size, own) for c, m, own in zip(classes, masks, batch.sizes, strict=True)]

    def synchronize(self) -> None:
        """Wait for all queued work of the device."""
        synchronize(self.device)

    def postprocess(self, output: Output, size: tuple[int, int]) -> Prediction:
        return fused(output, size, self.spec)


class Mask2Former(QueryModel):
    """Mask2Former (Cheng et al., CVPR 2022)."""

    model_class = "Mask2FormerForUniversalSegmentation"


class MaskFormer(QueryModel):
    """MaskFormer (Cheng et al., NeurIPS 2021)."""

    model_class = "MaskFormerForInstanceSegmentation"


class Detr(QueryModel):
    """DETR (Carion et al., ECCV 2020) with its panoptic head. Padded only within a batch, with a pixel mask."""

    model_class = "DetrForSegmentation"

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        super().__init__(spec, device)
        # 100 queries at once need 9 GB at 800 x 1067.
        in_parts(self.model.mask_head)

    def scaled_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return scaled_down_size(size, self.spec.input)

    def logits(self, pixels: Any, real: Any) -> tuple[Any, Any]:
        out = self.network(pixel_values=pixels, pixel_mask=real)
        return out.logits, out.pred_masks


class OneFormer(QueryModel):
    """OneFormer (Jain et al., CVPR 2023). Its task is a text input, so it needs the tokenizer's files."""

    model_class = "OneFormerForUniversalSegmentation"
    more_files = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")

    def before_loading(self, folder: Path) -> None:
        self.task = task_tokens(folder, int(read_config(folder).get("task_seq_len", 77)))

    def logits(self, pixels: Any, real: Any) -> tuple[Any, Any]:
        task = self.task.to(self.device).expand(len(pixels), -1)
        out = self.network(pixel_values=pixels, task_inputs=task)
        return out.class_queries_logits, out.masks_queries_logits


class Eomt(QueryModel):
    """EoMT (Kerssies et al., CVPR 2025): a plain ViT on a square of fixed size, padded with black."""

    model_class = "EomtForUniversalSegmentation"
    padding = np.zeros(3, dtype=np.float32)

    def before_loading(self, folder: Path) -> None:
        config, to = read_config(folder), self.spec.input
        side = config.get("image_size", 640)
        if config.get("model_type") == "eomt_dinov3":
            self.model_class = "EomtDinov3ForUniversalSegmentation"
        if (to.shorter, to.longer, to.divisor) != (side, side, side):
            raise ModelError(
                f"{folder}: this EoMT takes squares of {side} px and the input is {to.shorter}, {to.longer}, "
                f"{to.divisor} (shorter, longer, divisor): set the three to {side} in the model's YAML, or by --set"
            )


def fused(output: Output, size: tuple[int, int], spec: ModelSpec) -> Prediction:
    """Return the prediction of raw logits at the original image size (H, W). Their computation must be finished."""
    from bench.fusion.queries import ImageGeometry, postprocess

    geometry = ImageGeometry(output.padded_size, output.image_size, size)
    # On the stream of the network, every result would wait for the next batch to be computed.
    with own_stream(str(output.mask_logits.device)):
        return postprocess(
            output.class_logits, output.mask_logits, geometry, spec.space, spec.fusion,
            semantic=spec.semantic, where=spec.postprocess,
        )  # fmt: skip


def compiled(network: Any, device: str) -> Any:
    """Return the network, to be compiled by torch at its first batch. Raises ModelError where torch cannot compile."""
    import torch

    try:
        # Something small now: an error at the first batch would name an image.
        torch.compile(torch.nn.Linear(1, 1).to(device))(torch.ones(1, device=device))
    except Exception as error:
        reason = f"torch cannot compile for {device} here ({describe_error(error)})"
        raise ModelError(
            f"--compile: {reason}; it takes a C++ compiler for the CPU and Triton for CUDA: install it, or leave the "
            "option out"
        ) from error
    return torch.compile(network)


def autocast(device: str, precision: Precision) -> Any:
    """Return the context in which a network runs with this precision."""
    import torch

    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(device.partition(":")[0], dtype=dtype, enabled=dtype is not None)


def resized(rgb: RGB, size: tuple[int, int]) -> RGB:
    """Resize (H, W, 3) to `size` (height, width), bilinear. An image of that size is returned as it is."""
    if rgb.shape[:2] == size:
        return rgb
    return np.asarray(PilImage.fromarray(rgb).resize((size[1], size[0]), PilImage.Resampling.BILINEAR))


def normalized(rgb: RGB) -> NDArray[np.float32]:
    """Return (3, H, W) float32 by the statistics of ImageNet."""
    result = np.empty((3, *rgb.shape[:2]), dtype=np.float32)
    # By channels, which takes a third of the time of (rgb - mean) / std and gives the same numbers.
    for channel, values in enumerate(result):
        np.subtract(rgb[..., channel], PIXEL_MEAN[channel], out=values)
        values /= PIXEL_STD[channel]
    return result


def task_tokens(folder: Path, length: int) -> Any:
    """Return (1, length) int64 tokens of OneFormer's task text for panoptic segmentation, padded with zeros."""
    absent = [name for name in ("vocab.json", "merges.txt") if not (folder / name).is_file()]
    if absent:
        raise ModelError(
            f"{folder}: {' and '.join(absent)} of the CLIP tokenizer missing; OneFormer reads its task as text: "
            "copy the tokenizer's files from the checkpoint's repository"
        )
    import torch
    import transformers

    tokenizer: Any = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    tokens = tokenizer("the task is panoptic", max_length=length, truncation=True)["input_ids"]
    return torch.nn.functional.pad(torch.tensor(tokens), (0, length - len(tokens)))[None]


def scaled_size(size: tuple[int, int], to: InputSize) -> tuple[int, int]:
    """Return (H, W) scaled to the target shorter side, or to the longer limit if that is exceeded (detectron2)."""
    scale = to.shorter / min(size)
    # detectron2's ResizeShortestEdge; its sizes are rounded half up.
    if max(size) * scale > to.longer:
        scale = to.longer / max(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def scaled_down_size(size: tuple[int, int], to: InputSize) -> tuple[int, int]:
    """Return (H, W) scaled as in DETR: the shorter side is rounded to pixels first, the longer one truncated."""
    shorter = to.shorter
    if max(size) / min(size) * shorter > to.longer:
        # As in DETR's datasets/transforms.py (get_size_with_aspect_ratio).
        shorter = round(to.longer * min(size) / max(size))
    longer = int(shorter * max(size) / min(size))
    return (shorter, longer) if size[0] <= size[1] else (longer, shorter)


def pad_batch(
    batch: Sequence[NDArray[np.float32]], divisor: int, fill: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (B, 3, H, W) float32, padded right and below with the (3,) `fill`, and the (B, H, W) int64 image mask.

    H and W are those of the largest image, rounded up to a multiple of `divisor`; the mask is 1 inside images.
    """
    height = -(-max(image.shape[1] for image in batch) // divisor) * divisor
    width = -(-max(image.shape[2] for image in batch) // divisor) * divisor
    padded = np.empty((len(batch), 3, height, width), dtype=np.float32)
    padded[:] = fill[:, None, None]
    real = np.zeros((len(batch), height, width), dtype=np.int64)
    for target, mask, image in zip(padded, real, batch, strict=True):
        target[:, : image.shape[1], : image.shape[2]] = image
        mask[: image.shape[1], : image.shape[2]] = 1
    return padded, real


def class_columns(spec: ModelSpec, id2label: Mapping[int, str]) -> list[int] | None:
    """Return the columns of the class head for the space's categories, or None if all columns are used in order.

    DETR's head for COCO has 250 columns, indexed by category id. Raises ModelError if class names or numbers differ.
    """
    # DETR's head for COCO has a column for every category id up to 249; 133 of them are classes.
    by_id = len(id2label) == 250 and len(spec.space) == 133
    columns = list(spec.space.ids) if by_id else list(range(len(spec.space)))
    if not by_id and len(id2label) != len(spec.space):
        raise ModelError(
            f"{spec.source}: {len(id2label)} classes, but {spec.categories} has {len(spec.space)}; "
            "is it a checkpoint of another data set?"
        )
    check_names(spec.source, [id2label[column] for column in columns], spec.categories, spec.space)
    return columns if by_id else None


def check_names(source: str, names: Sequence[str], space_name: str, space: Categories) -> None:
    """Raise ModelError if a class has the name of another one of the space, or if most names differ.

    Single differences in spelling are accepted.
    """
    known = {category.name for category in space}
    pairs = [(name, category.name) for name, category in zip(names, space, strict=True)]
    strange = [pair for pair in pairs if pair[0] != pair[1] and not pair[0].startswith("LABEL_")]
    wrong = [pair for pair in strange if pair[0] in known] or (strange if 2 * len(strange) > len(space) else [])
    if wrong:
        raise ModelError(f"{source}: class {wrong[0][0]!r} stands where {space_name} has {wrong[0][1]!r}")


def fold(class_logits: Any, columns: list[int]) -> Any:
    """Select columns, (…, n + 1) → (…, len(columns) + 1). The others join "no object", preserving probabilities."""
    import torch

    rest = [i for i in range(class_logits.shape[-1]) if i not in set(columns)]
    # logsumexp: after the softmax, "no object" has the sum of the joined probabilities, and the others keep theirs.
    return torch.cat([class_logits[..., columns], class_logits[..., rest].logsumexp(-1, keepdim=True)], -1)
