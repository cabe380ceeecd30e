"""A checkpoint of random weights for a config, as mmengine writes them. Runs in the environment of mmdetection.

argv: folder of the worker's files, spec as JSON, file to write, file for what the framework's own fusion says.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

from bench.adapters import mmdet_models, stub_modules
from bench.models.worker.server import spec_from_json


class HistoryBuffer:
    """As in mmengine's message hub: an object of the training, pickled beside the tensors."""

    def __init__(self):
        self._log_history = [0.5, 0.25]
        self.statistics = getattr


def main():
    spec = spec_from_json(json.loads(sys.argv[2]))
    stub_modules.mmcv_ext()
    import torch

    torch.manual_seed(0)
    model = mmdet_models.built(mmdet_models.read_config(spec), "cpu")
    with torch.no_grad():
        for name, value in model.named_parameters():
            # Initial heads answer nothing anywhere: spread their outputs, so that many classes and queries win.
            if name.endswith(("cls_embed.weight", "fc_cls.weight", "conv_logits.weight", "mask_embed.4.weight")):
                value.normal_(0, 0.3)
            elif name.endswith(("query_embed.weight", "query_feat.weight")):
                value.normal_(0, 3)
    from mmdet.datasets import CocoPanopticDataset

    meta = {"dataset_meta": {"classes": tuple(CocoPanopticDataset.METAINFO["classes"])}, "hook": HistoryBuffer()}
    content = {"meta": meta, "state_dict": model.state_dict(), "message_hub": {"log": HistoryBuffer()}}
    torch.save(content, sys.argv[3])


main()
