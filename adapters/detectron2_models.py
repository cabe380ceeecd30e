"""Panoptic models of detectron2, such as Panoptic FPN, from config and weights.

detectron2 does the fusion, with the thresholds of the YAML. Its category ids are contiguous, separately for things
and stuff; the metadata of the config's data set map them to category ids.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.adapters import stub_modules
from bench.adapters.transformers_models import autocast, resized, scaled_size
from bench.adapters.weights_only import load_pickle, load_torch, load_weights, tensors_of
from bench.errors import ModelError
from bench.models.devices import pick_device
from bench.types import Categories, Image, Panoptic, Prediction, SegmentInfo

if TYPE_CHECKING:
    from bench.models.spec import ModelSpec

VERSION = 1  # goes up with every change that moves a pixel of these models


@dataclass(frozen=True)
class ClassTable:
    """Contiguous id → category id for things and stuff; `divisor` decodes panoptic ids without a segment list."""

    things: Mapping[int, int]
    stuff: Mapping[int, int]
    divisor: int = 1000

    @property
    def joint(self) -> dict[int, int]:
        """Contiguous id → category id for things and stuff together, as in panoptic ids without a segment list."""
        return {**self.stuff, **self.things}


class Detectron2:
    """Any detectron2 model whose output has `panoptic_seg`."""

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        if spec.framework is None:
            raise ModelError(f"{spec.name}: a detectron2 checkpoint needs `framework: {{config: ...}}`")
        if spec.fusion.rule != "framework":
            raise ModelError(f"{spec.name}: detectron2 fuses itself; the fusion preset must be 'framework'")
        prepare_imports(stand_in=spec.framework.compiled_ops == "stand-in")
        self.spec = spec
        self.categories = spec.space
        self.device = pick_device(device)
        self.config = read_config(spec, self.device)
        self.table = class_table(metadata_of(self.config), spec.space)
        self.model = built(self.config)
        load_weights(self.model, read_weights(spec), spec.source, optional=comes_from_config)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def preprocess(self, image: Image) -> dict[str, Any]:
        """Return detectron2's input: (3, h, w) in the config's channel order, and the original size."""
        rgb = resized(image.rgb, scaled_size(image.size, self.spec.input))
        pixels = rgb[..., ::-1] if self.config.INPUT.FORMAT == "BGR" else rgb
        return {
            "image": np.ascontiguousarray(pixels.transpose(2, 0, 1)),
            "height": image.size[0],
            "width": image.size[1],
        }

    def infer(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return panoptic ids, segments and semantic map (None unless it has every class) of each image."""
        import torch

        inputs = [{**item, "image": torch.from_numpy(item["image"])} for item in batch]
        with torch.no_grad(), autocast(self.device, self.spec.precision):
            outputs = self.model(inputs)
        return [plain_output(output, len(self.table.joint)) for output in outputs]

    def postprocess(self, output: Mapping[str, Any], size: tuple[int, int]) -> Prediction:
        panoptic = panoptic_of(output["ids"], output["segments"], self.table)
        if output["semantic"] is None:
            return Prediction(panoptic)
        joint = self.table.joint
        table = np.array([joint[i] for i in range(len(self.categories))], dtype=np.int32)
        return Prediction(panoptic, table[output["semantic"]])


def plain_output(output: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """Return the used parts of a model output as numpy arrays. Raises ModelError without `panoptic_seg`.

    The semantic map is None if its head merges all things into one class, since then there is no mIoU.
    """
    if "panoptic_seg" not in output:
        raise ModelError(f"the model gives {sorted(output)} and no panoptic_seg: is it a panoptic config?")
    ids, segments = output["panoptic_seg"]
    scores = output.get("sem_seg")
    semantic = None
    if scores is not None and scores.shape[0] == classes:
        semantic = scores.argmax(0).cpu().numpy()
    return {"ids": ids.cpu().numpy(), "segments": segments, "semantic": semantic}


def panoptic_of(
    ids: NDArray[np.integer[Any]], segments: Sequence[Mapping[str, Any]] | None, table: ClassTable
) -> Panoptic:
    """Return the Panoptic of (H, W) ids and their segment list, void 0.

    If `segments` is None, an id is category * divisor + instance, void -1.
    """
    if segments is None:
        found = [int(value) for value in np.unique(ids) if value != -1]
        infos = {value: SegmentInfo(table.joint[value // table.divisor]) for value in found}
        return Panoptic.from_ids(ids, infos, void=-1)
    infos = {
        int(segment["id"]): SegmentInfo(
            (table.things if segment["isthing"] else table.stuff)[int(segment["category_id"])],
            score=segment.get("score"),
        )
        for segment in segments
    }
    # With a stuff limit of 0 detectron2 lists segments that things cover entirely.
    present = set(np.unique(ids).tolist())
    return Panoptic.from_ids(ids, {value: info for value, info in infos.items() if value in present}, void=0)


def class_table(metadata: Mapping[str, Any], categories: Categories) -> ClassTable:
    """Return the class table from the metadata of the data set, else from the order of things and of stuff.

    In the format of Panoptic FPN, contiguous stuff id 0 is all things together.
    """
    thing_ids, stuff_ids = (metadata.get(f"{kind}_dataset_id_to_contiguous_id", {}) for kind in ("thing", "stuff"))
    if thing_ids and stuff_ids:
        things = {contiguous: own for own, contiguous in thing_ids.items()}
        stuff = {contiguous: own for own, contiguous in stuff_ids.items() if own in categories.index_of}
        strange = sorted(set(things.values()) - set(categories.index_of))
        if strange:
            raise ModelError(
                f"the config's data set has a thing of category {strange[0]}, which the label space has not"
            )
    else:
        things = dict(enumerate(category.id for category in categories if category.isthing))
        # 0 is all things together, as in the stuff annotations that Panoptic FPN is trained on.
        stuff = dict(enumerate((category.id for category in categories if not category.isthing), start=1))
    return ClassTable(things, stuff, int(metadata.get("label_divisor", 1000)))


def prepare_imports(*, stand_in: bool) -> None:
    """Install stub modules if requested, and the name that Pillow 10 removed and detectron2 uses."""
    # Pillow 10 removed it; detectron2 0.6 uses it in its transforms.
    if not hasattr(PilImage, "LINEAR"):
        PilImage.LINEAR = PilImage.Resampling.BILINEAR  # type: ignore[attr-defined]
    if stand_in:
        stub_modules.torchvision()
        stub_modules.detectron2_c()


def read_config(spec: ModelSpec, device: str) -> Any:
    """Return detectron2's config (by name or file) with the overrides, device and thresholds of the YAML."""
    from detectron2 import model_zoo
    from detectron2.config import get_cfg

    assert spec.framework is not None
    config, own = get_cfg(), Path(spec.framework.config)
    try:
        config.merge_from_file(str(own) if own.is_file() else model_zoo.get_config_file(spec.framework.config))
        config.merge_from_list([part for pair in spec.framework.set.items() for part in pair])
    except (RuntimeError, KeyError, AssertionError, ValueError) as error:
        raise ModelError(f"{spec.name}: config {spec.framework.config!r}: {error}") from None
    combine = config.MODEL.PANOPTIC_FPN.COMBINE
    combine.INSTANCES_CONFIDENCE_THRESH = spec.fusion.score_threshold
    combine.OVERLAP_THRESH = spec.fusion.overlap_threshold
    combine.STUFF_AREA_LIMIT = spec.fusion.min_area_px
    config.MODEL.DEVICE = device
    config.MODEL.WEIGHTS = ""
    return config


def metadata_of(config: Any) -> dict[str, Any]:
    from detectron2.data import MetadataCatalog

    return dict(MetadataCatalog.get(config.DATASETS.TRAIN[0]).as_dict()) if config.DATASETS.TRAIN else {}


def built(config: Any) -> Any:
    from detectron2.modeling import build_model

    network = build_model(config)
    return network.eval()


def read_weights(spec: ModelSpec) -> dict[str, Any]:
    """Read `.pkl` files of the model zoo (numpy arrays), or `.pth` files."""
    assert spec.framework is not None
    path = Path(spec.source)
    content = load_pickle(path) if path.suffix == ".pkl" else load_torch(path, spec.framework.trust_pickle)
    return {name: value for name, value in tensors_of(content, path).items() if not name.endswith("cell_anchors")}


def comes_from_config(name: str) -> bool:
    """Return whether a checkpoint may lack this tensor: anchors and pixel statistics are made from the config."""
    return "anchor_generator" in name or name in ("pixel_mean", "pixel_std")
