"""The EfficientPS network: shared backbone and pyramid, semantic head, instance head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.adapters.efficientps.backbone import EfficientNet
from bench.adapters.efficientps.boxes import anchors
from bench.adapters.efficientps.config import NetworkConfig
from bench.adapters.efficientps.layers import initialise
from bench.adapters.efficientps.neck import TwoWayPyramid
from bench.adapters.efficientps.roi import STRIDES, BoxHead, MaskHead, detections, pooled
from bench.adapters.efficientps.rpn import Rpn, propose
from bench.adapters.efficientps.semantic_head import SemanticHead
from bench.errors import UsageError
from bench.types import Categories


@dataclass(frozen=True, eq=False)
class Found:
    """Network output of one image.

    `semantic`: (C, h / 4, w / 4) logits in class order. Of n instances, best first: `scores` (n,); `labels` (n,) int64
    class indices; `boxes` (n, 4) x0 y0 x1 y1 in pixels of the input; `masks` (n, m, m) logits, each covering its box.
    Floats are float32.
    """

    semantic: Tensor
    scores: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Tensor

    def cpu(self) -> Found:
        return Found(*(tensor.cpu() for tensor in (self.semantic, self.scores, self.labels, self.boxes, self.masks)))


class Network(nn.Module):
    """`names` are the classes in the order of the semantic logits; `things` the indices of classes with instances."""

    def __init__(self, config: NetworkConfig, names: Sequence[str], things: Sequence[int]) -> None:
        super().__init__()
        self.config, self.names, self.things = config, tuple(names), tuple(things)
        if not self.things:
            raise UsageError("EfficientPS needs a class with instances; these categories have stuff alone")
        width, count = config.width, len(self.things)
        self.backbone = EfficientNet(config.backbone)
        self.neck = TwoWayPyramid(self.backbone.widths, width, config.separable_neck)
        self.semantic_head = SemanticHead(width, len(self.names), config.semantic)
        self.rpn_head = Rpn(width, config.rpn)
        self.bbox_head = BoxHead(width, count, config.box)
        self.mask_head = MaskHead(width, count, config.mask)

    def features(self, pixels: Tensor) -> list[Tensor]:
        """Return the pyramid at strides 4, 8, 16 and 32 of (B, 3, h, w) pixels, with h and w multiples of 32."""
        pyramid: list[Tensor] = self.neck(self.backbone(pixels))
        return pyramid

    def anchors(self, features: Sequence[Tensor]) -> Tensor:
        """Return (n, 4) anchors of all levels, on the features' device."""
        sizes = [(int(x.shape[-2]), int(x.shape[-1])) for x in features]
        rpn = self.config.rpn
        grid: Tensor = anchors(sizes, STRIDES, rpn.anchor_scale, rpn.ratios)
        return grid.to(features[0].device)

    def proposals(self, features: Sequence[Tensor], *, training: bool) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Return (k, 4) boxes of each image, (B, n) logits and (B, n, 4) offsets of all anchors, and the anchors."""
        logits, offsets, levels = self.rpn_head(features)
        origin = self.anchors(features)
        size = int(features[0].shape[-2]) * STRIDES[0], int(features[0].shape[-1]) * STRIDES[0]
        boxes = [
            propose(logits[b], offsets[b], origin, levels, size, self.config.rpn, training=training)
            for b in range(len(logits))
        ]
        return boxes, logits, offsets, origin

    def region(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return class logits (n, 1 + things) and offsets (n, things, 4) of the boxes of all images."""
        box = self.config.box
        result: tuple[Tensor, Tensor] = self.bbox_head(pooled(features, boxes, box.cells, box.sampling, box.finest_px))
        return result

    def masks(self, features: Sequence[Tensor], boxes: Sequence[Tensor], things: Tensor) -> Tensor:
        """Return (n, m, m) mask logits of the boxes of all images, each for its class in `things`."""
        mask = self.config.mask
        logits = self.mask_head(pooled(features, boxes, mask.cells, mask.sampling, self.config.box.finest_px))
        chosen: Tensor = logits[torch.arange(len(things), device=things.device), things]
        return chosen

    def forward(self, pixels: Tensor) -> list[Found]:
        """Return the output of each image of (B, 3, h, w) float32, normalized, with h and w multiples of 32."""
        features = self.features(pixels)
        semantic = self.semantic_head(features).float()
        proposals = self.proposals(features, training=False)[0]
        classes, offsets = (torch.split(x, lengths(proposals)) for x in self.region(features, proposals))
        size = int(pixels.shape[-2]), int(pixels.shape[-1])
        found = [detections(*image, size, self.config.box) for image in zip(classes, offsets, proposals, strict=True)]
        scores, things, boxes = zip(*found, strict=True)
        masks = torch.split(self.masks(features, boxes, torch.cat(things)).float(), lengths(boxes))
        names = torch.tensor(self.things, device=pixels.device)
        labels = [names[of_image] for of_image in things]
        return [Found(*image) for image in zip(semantic, scores, labels, boxes, masks, strict=True)]


def lengths(tensors: Sequence[Tensor]) -> list[int]:
    return [len(tensor) for tensor in tensors]


def build(config: NetworkConfig, categories: Categories) -> Network:
    """Build a randomly initialized network for these categories."""
    names = [category.name for category in categories]
    network = Network(config, names, [i for i, category in enumerate(categories) if category.isthing])
    initialise(network)
    small = (network.rpn_head.rpn_cls, network.rpn_head.rpn_reg, network.bbox_head.fc_cls, network.bbox_head.fc_reg)
    # Small weights, so that training starts from even odds and unmoved boxes.
    for layer in small:
        nn.init.normal_(layer.weight, std=0.01)
    nn.init.normal_(network.semantic_head.conv_logits.weight, std=0.01)
    return network
