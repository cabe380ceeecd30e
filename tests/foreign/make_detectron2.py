"""Weights of random numbers for a config, as the model zoo has them. Runs in the environment of detectron2.

argv: folder of the worker's files, spec as JSON, file to write.
"""

import json
import pickle
import sys

sys.path.insert(0, sys.argv[1])

from bench.adapters import detectron2_models
from bench.models.worker.server import spec_from_json


def main():
    spec = spec_from_json(json.loads(sys.argv[2]))
    detectron2_models.prepare_imports(stand_in=True)
    import torch

    torch.manual_seed(0)
    model = detectron2_models.built(detectron2_models.read_config(spec, "cpu"))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith(("cls_score.weight", "sem_seg_head.predictor.weight", "mask_head.predictor.weight")):
                value.normal_(0, 0.5)
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    with open(sys.argv[3], "wb") as stream:
        pickle.dump({"model": arrays, "__author__": "tests"}, stream, protocol=2)


main()
