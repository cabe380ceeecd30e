"""Panoptic models of mmdetection 3.x and its maintained fork, from config and checkpoint.

Logits of Mask2Former and MaskFormer go through our fusion, or through mmdetection's with the preset `framework`.
Panoptic FPN always uses mmdetection's fusion, with the thresholds of the YAML.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.adapters import stub_modules
from bench.adapters.transformers_models import Output, autocast, fused
from bench.adapters.weights_only import load_torch, load_weights, tensors_of
from bench.errors import ModelError
from bench.models.devices import pick_device, synchronize
from bench.types import Categories, Image, Panoptic, Prediction, SegmentInfo

if TYPE_CHECKING:
    from bench.models.spec import ModelSpec

# mmdet.evaluation.functional: an id is its class + 1000 * instance.
INSTANCE_OFFSET = 1000

VERSION = 1  # goes up with every change that moves a pixel of these models


class MMDetection:
    """Any panoptic model of mmdetection; its test pipeline runs without the annotation steps."""

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        if spec.framework is None:
            raise ModelError(f"{spec.name}: an mmdetection checkpoint needs `framework: {{config: ...}}`")
        if spec.framework.compiled_ops == "stand-in":
            stub_modules.mmcv_ext()
        self.spec = spec
        self.categories = spec.space
        self.device = pick_device(device)
        content = load_torch(Path(spec.source), spec.framework.trust_pickle)
        self.order = class_order(class_names(content), spec.space)
        self.config = read_config(spec)
        self.model = built(self.config, self.device)
        load_weights(self.model, tensors_of(content, Path(spec.source)), spec.source)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.pipeline = test_pipeline(self.config)

    def preprocess(self, image: Image) -> Any:
        """Apply mmdetection's test transforms to the image as (H, W, 3) uint8 BGR, at the input size of our YAML."""
        # mmdetection reads images with OpenCV, in BGR.
        bgr = np.ascontiguousarray(image.rgb[..., ::-1])
        return self.pipeline({"img": bgr, "img_id": 0})

    def infer(self, batch: Sequence[Any]) -> list[Any]:
        """Return the logits of each image, or its (H, W) map of mmdetection's ids if mmdetection does the fusion."""
        import torch

        data = {key: [item[key] for item in batch] for key in ("inputs", "data_samples")}
        with torch.no_grad(), autocast(self.device, self.spec.precision):
            if self.spec.fusion.rule != "framework":
                outputs = self._logits(data)
                synchronize(self.device)  # postprocess works on another stream
                return outputs
            results = self.model.test_step(data)
        return [result.pred_panoptic_seg.sem_seg[0].cpu().numpy() for result in results]

    def _logits(self, data: Mapping[str, Any]) -> list[Output]:
        data = self.model.data_preprocessor(data, False)
        samples = data["data_samples"]
        features = self.model.extract_feat(data["inputs"])
        classes, masks = self.model.panoptic_head.predict(features, samples)
        # The last column is "no object".
        columns = [*self.order, len(self.order)]
        return [
            Output(classes[i].float()[:, columns], masks[i].float(),
                   tuple(sample.batch_input_shape), tuple(sample.img_shape[:2]))
            for i, sample in enumerate(samples)
        ]  # fmt: skip

    def postprocess(self, output: Any, size: tuple[int, int]) -> Prediction:
        if isinstance(output, np.ndarray):
            ids = [0] * len(self.order)
            for category, position in zip(self.categories, self.order):  # noqa: B905 - `strict` came with Python 3.10
                ids[position] = category.id
            return Prediction(panoptic_of(output, ids))
        prediction: Prediction = fused(output, size, self.spec)
        return prediction


def panoptic_of(ids: NDArray[np.integer[Any]], category_ids: Sequence[int]) -> Panoptic:
    """Return the Panoptic of (H, W) ids: class + 1000 * instance, void = number of classes.

    `category_ids` are the category ids in the model's class order.
    """
    void = len(category_ids)
    infos = {
        int(value): SegmentInfo(category_ids[int(value) % INSTANCE_OFFSET])
        for value in np.unique(ids)
        if value % INSTANCE_OFFSET != void
    }
    return Panoptic.from_ids(np.where(ids % INSTANCE_OFFSET == void, void, ids), infos, void=void)


def class_names(content: Any) -> list[str] | None:
    """Return the class names stored in an mmdetection 3.x or 2.x checkpoint, or None if there are none."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return None
    dataset = meta.get("dataset_meta")
    for place in (dataset if isinstance(dataset, Mapping) else {}, meta):
        for key in ("classes", "CLASSES"):
            if isinstance(place.get(key), (list, tuple)):
                return [str(name) for name in place[key]]
    return None


def class_order(names: Sequence[str] | None, categories: Categories) -> list[int]:
    """Return the model's class index of each category: by name, or things before stuff if `names` is None.

    Raises ModelError if the names differ from the categories.
    """
    if names is None:
        # mmdetection's COCO panoptic classes are all things, then all stuff.
        things_first = sorted(range(len(categories)), key=lambda i: not categories.items[i].isthing)
        return [things_first.index(i) for i in range(len(categories))]
    missing = [category.name for category in categories if category.name not in names]
    if missing or len(names) != len(categories):
        raise ModelError(
            f"the checkpoint has {len(names)} classes and the label space {len(categories)}"
            + (f"; it has no {missing[0]!r}" if missing else "")
        )
    return [names.index(category.name) for category in categories]


def read_config(spec: ModelSpec) -> Any:
    """Return mmdetection's config (by name or file) with the overrides, input size and thresholds of the YAML."""
    import mmdet
    from mmengine.config import Config

    assert spec.framework is not None
    path = Path(spec.framework.config)
    if not path.is_file():
        path = Path(str(mmdet.__file__)).parent / ".mim" / "configs" / spec.framework.config
    if not path.is_file():
        raise ModelError(f"{spec.name}: mmdetection {mmdet.__version__} has no config {spec.framework.config!r}")
    config = Config.fromfile(str(path))
    config.merge_from_dict(dict(spec.framework.set))
    drop_pretrained(config.model)
    apply_fusion(config.model, spec)
    dataset = config.test_dataloader.dataset
    # Annotations are not there at inference, and the image comes as an array.
    dataset.pipeline = [sized(step, spec) for step in dataset.pipeline if "Annotations" not in step["type"]]
    dataset.pipeline[0] = {"type": "mmdet.LoadImageFromNDArray"}
    return config


def drop_pretrained(config: Any) -> None:
    """Remove pretrained weights from all parts of a config, since the checkpoint contains them."""
    inner = config.values() if isinstance(config, dict) else config if isinstance(config, (list, tuple)) else ()
    for value in inner:
        drop_pretrained(value)
    init = config.get("init_cfg") if isinstance(config, dict) else None
    if isinstance(init, dict) and init.get("type") == "Pretrained":
        config["init_cfg"] = None


def apply_fusion(model: Any, spec: ModelSpec) -> None:
    """Set the YAML's thresholds in mmdetection's config if mmdetection does the fusion."""
    test, fusion = model.test_cfg, spec.fusion
    queries = model.get("panoptic_head") is not None
    if fusion.rule == "framework" and queries:
        changes = {"object_mask_thr": fusion.score_threshold, "iou_thr": fusion.overlap_threshold}
        test.update({**changes, "instance_on": False, "semantic_on": False, "panoptic_on": True})
    elif fusion.rule == "framework":
        test.rcnn.score_thr = fusion.score_threshold
        test.panoptic.update({"mask_overlap": fusion.overlap_threshold, "stuff_area_limit": fusion.min_area_px})
    elif not queries:
        raise ModelError(f"{spec.name}: {model.type} has no queries; its fusion preset must be 'framework'")


def sized(step: Any, spec: ModelSpec) -> Any:
    if step["type"].rpartition(".")[2] == "Resize":
        return {"type": step["type"], "scale": (spec.input.longer, spec.input.shorter), "keep_ratio": True}
    return step


def built(config: Any, device: str) -> Any:
    try:
        importlib.import_module("mmcv._ext")
    except ImportError:
        raise ModelError(
            "mmcv has no compiled operators here (mmcv-lite); `framework: {compiled_ops: stand-in}` in the model's "
            "YAML takes plain torch in their place"
        ) from None
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    return MODELS.build(config.model).to(device).eval()


def test_pipeline(config: Any) -> Any:
    """Return the test transforms as one function. It is stateless and so thread-safe."""
    from mmcv.transforms import Compose

    return Compose(config.test_dataloader.dataset.pipeline)
