"""mmdetection's own fusion of logits in files; `parity.py` runs it in mmdetection's environment.

Arguments: folder of NNNN.npz (class_logits (Q, C + 1), things before stuff; mask_logits (Q, h, w); sizes), thresholds,
number of things. Writes NNNN.npy, (H, W) int32 of class + 1000 * instance.
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import torch


def absent_operators():
    """Install a stub for mmcv's compiled operators, which mmcv-lite lacks and the fusion never calls."""
    module = ModuleType("mmcv._ext")
    module.__spec__, module.__file__ = ModuleSpec("mmcv._ext", None), "absent"
    module.__getattr__ = lambda name: None
    sys.modules["mmcv._ext"] = module


def main():
    absent_operators()
    from mmdet.models.seg_heads import MaskFormerFusionHead
    from mmdet.structures import DetDataSample
    from mmengine.config import ConfigDict

    folder, score, overlap, things = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    test = ConfigDict(panoptic_on=True, object_mask_thr=score, iou_thr=overlap, filter_low_score=True)
    for file in sorted(folder.glob("*.npz")):
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        classes = torch.from_numpy(arrays["class_logits"])
        head = MaskFormerFusionHead(things, classes.shape[1] - 1 - things, test_cfg=test)
        masks = torch.from_numpy(arrays["mask_logits"])[None]
        # as Mask2FormerHead.predict does: to the padded input first
        padded = tuple(arrays["padded_size"].tolist())
        masks = torch.nn.functional.interpolate(masks, size=padded, mode="bilinear", align_corners=False)
        sizes = {"img_shape": arrays["image_size"].tolist(), "ori_shape": arrays["target_size"].tolist()}
        sample = DetDataSample(metainfo=sizes)
        (result,) = head.predict(classes[None], masks, [sample], rescale=True)
        np.save(file.with_suffix(".npy"), result["pan_results"].sem_seg[0].numpy().astype(np.int32))


main()
