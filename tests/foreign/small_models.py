"""Small configurations of the frameworks' models: the official configs, made thin."""

from __future__ import annotations

from pathlib import Path

YAML = """\
title: {title}
adapter: {adapter}
env: {env}
deadline: 300
method: one-shot
fusion: {fusion}
defaults: {{minicoco: tiny}}
checkpoints:
  tiny:
    path: {weights}
    categories: coco-133
    input: {{shorter: 128, longer: 224}}
    framework:
      config: {config}
      compiled_ops: stand-in
      set: {{{set}}}
"""
THIN = "model.backbone.depth: 18, "
QUERIES = THIN + (
    "model.panoptic_head.in_channels: [64, 128, 256, 512], model.panoptic_head.num_queries: 60, "
    "model.panoptic_head.transformer_decoder.num_layers: 2, "
)
SETS = {
    "mask2former-mmdet": QUERIES + "model.panoptic_head.pixel_decoder.encoder.num_layers: 1",
    "maskformer-mmdet": QUERIES + "model.panoptic_head.pixel_decoder.encoder.num_layers: 1",
    "panoptic-fpn-mmdet": THIN + "model.neck.in_channels: [64, 128, 256, 512], model.test_cfg.rpn.nms_pre: 50, "
    "model.test_cfg.rpn.max_per_img: 50",
    "panoptic-fpn-d2": "MODEL.RESNETS.DEPTH: 18, MODEL.RESNETS.RES2_OUT_CHANNELS: 64, "
    "MODEL.RPN.PRE_NMS_TOPK_TEST: 50, MODEL.RPN.POST_NMS_TOPK_TEST: 50, MODEL.ROI_HEADS.SCORE_THRESH_TEST: 0.0",
}
ANYTHING = "score_threshold: 0.0, overlap_threshold: 0.0"
FUSIONS = {
    "mask2former-mmdet": "{preset: mask2former, " + ANYTHING + "}",
    "maskformer-mmdet": "{preset: maskformer, " + ANYTHING + "}",
    "panoptic-fpn-mmdet": "{preset: framework, score_threshold: 0.0, overlap_threshold: 0.5, min_area_px: 20}",
    "panoptic-fpn-d2": "{preset: framework, score_threshold: 0.0, overlap_threshold: 0.5, min_area_px: 20}",
}
CONFIGS = {
    "mask2former-mmdet": "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py",
    "maskformer-mmdet": "maskformer/maskformer_r50_ms-16xb1-75e_coco.py",
    "panoptic-fpn-mmdet": "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py",
    "panoptic-fpn-d2": "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml",
}


def write_yaml(folder: Path, name: str, env: Path) -> Path:
    """A user's YAML for the small model `name`; its weights are to be made."""
    mm = name.endswith("mmdet")
    yaml = folder / f"{name}.yaml"
    yaml.write_text(
        YAML.format(
            title=name, adapter="mmdet_models:MMDetection" if mm else "detectron2_models:Detectron2", env=env,
            fusion=FUSIONS[name], weights=f"{name}.pth" if mm else f"{name}.pkl", config=CONFIGS[name], set=SETS[name],
        ),
        encoding="utf-8",
    )  # fmt: skip
    return yaml
