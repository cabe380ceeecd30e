"""What a network begins with of another's."""

import torch
from training_runs import NETWORK, recipe_of

from bench.datasets.label_spaces import load_space
from bench.training.families.detr import decode
from bench.training.families.family import find_family
from bench.training.initialization import build, transplant

SPACE = load_space("cityscapes-19").evaluated


def test_detr_begins_with_the_queries_and_the_decoder_of_maskformer():
    torch.manual_seed(0)
    networks = {
        name: build(
            recipe_of(family=name, network={**NETWORK, "heads": 4, "encoder_heads": 8, "encoder_layers": layers}),
            find_family(name),
            SPACE,
        ).eval()
        for name, layers in (("maskformer", 1), ("detr", 0))  # without an encoder DETR is MaskFormer's transformer
    }
    maskformer, detr, pixels = networks["maskformer"], networks["detr"], torch.randn(1, 3, 64, 96)
    transplant(detr, maskformer.state_dict(), find_family("detr").backbone, "maskformer")
    with torch.no_grad():
        theirs = maskformer(pixel_values=pixels).class_queries_logits
        ours = detr.detr.class_labels_classifier(decode(detr, pixels).states[-1])
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
