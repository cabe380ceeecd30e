"""config.json of checkpoints as the hub has them: the keys and defaults that transformers 4.9 to 4.53 wrote.

Each is told at the size of the hub's file and as a small network of the same form. Only the standard library is
imported, since the environment of another transformers reads this file, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Config = dict[str, Any]

# What old versions wrote into every nested configuration (some of it moved since, some is refused at the top level).
NESTED: Config = {
    "_name_or_path": "", "add_cross_attention": False, "architectures": None, "bad_words_ids": None,
    "chunk_size_feed_forward": 0, "diversity_penalty": 0.0, "do_sample": False, "early_stopping": False,
    "finetuning_task": None, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "is_decoder": False,
    "is_encoder_decoder": False, "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "length_penalty": 1.0, "max_length": 20,
    "num_beams": 1, "num_return_sequences": 1, "output_attentions": False, "output_hidden_states": False,
    "output_scores": False, "problem_type": None, "pruned_heads": {}, "repetition_penalty": 1.0, "return_dict": True,
    "return_dict_in_generate": False, "temperature": 1.0, "tie_encoder_decoder": False, "tie_word_embeddings": True,
    "tokenizer_class": None, "top_k": 50, "top_p": 1.0, "torch_dtype": None, "torchscript": False,
    "transformers_version": "4.26.0.dev0", "use_bfloat16": False,
}  # fmt: skip
NO_TIMM: Config = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, "dilation": None}
# Size → channels, depths, heads, window and the side of the images that it was pretrained on.
SWIN: dict[str, tuple[int, list[int], list[int], int, int]] = {
    "small-form": (8, [1, 1, 2, 1], [1, 2, 2, 4], 4, 32),
    "tiny": (96, [2, 2, 6, 2], [3, 6, 12, 24], 7, 224),
    "large": (192, [2, 2, 18, 2], [6, 12, 24, 48], 12, 384),
}


def labels(count: int) -> Config:
    names = {str(i): f"LABEL_{i}" for i in range(count)}
    return {"id2label": names, "label2id": {name: int(i) for i, name in names.items()}}


def swin(size: str) -> Config:
    channels, depths, heads, window, side = SWIN[size]
    return {
        **NESTED, "attention_probs_dropout_prob": 0.0, "depths": depths, "drop_path_rate": 0.3, "embed_dim": channels,
        "encoder_stride": 32, "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "hidden_size": channels * 8,
        "image_size": side, "initializer_range": 0.02, "layer_norm_eps": 1e-05, "mlp_ratio": 4.0, "model_type": "swin",
        "num_channels": 3, "num_heads": heads, "num_layers": 4, "path_norm": True, "patch_size": 4, "qkv_bias": True,
        "out_features": ["stage1", "stage2", "stage3", "stage4"], "use_absolute_embeddings": False,
        "stage_names": ["stem", "stage1", "stage2", "stage3", "stage4"], "window_size": window,
    }  # fmt: skip


def mask2former(size: str, classes: int, queries: int, width: int = 256, layers: int = 10) -> Config:
    return {
        "activation_function": "relu", "architectures": ["Mask2FormerForUniversalSegmentation"],
        "backbone_config": swin(size), "class_weight": 2.0, "common_stride": 4, "decoder_layers": layers,
        "dice_weight": 5.0, "dim_feedforward": 8 * width, "dropout": 0.0, "encoder_feedforward_dim": 4 * width,
        "encoder_layers": 6 if layers == 10 else 1, "enforce_input_proj": False, "enforce_input_projection": False,
        "feature_size": width, "feature_strides": [4, 8, 16, 32], "hidden_dim": width, **labels(classes),
        "ignore_value": 255, "importance_sample_ratio": 0.75, "init_std": 0.02, "init_xavier_std": 1.0,
        "mask_feature_size": width, "mask_weight": 5.0, "model_type": "mask2former", "no_object_weight": 0.1,
        "num_attention_heads": 8, "num_hidden_layers": layers, "num_queries": queries, "output_auxiliary_logits": None,
        "oversample_ratio": 3.0, "pre_norm": False, "torch_dtype": "float32", "train_num_points": 12544,
        "transformers_version": "4.26.0.dev0", "use_auxiliary_loss": True,
    }  # fmt: skip


def oneformer(size: str, classes: int, queries: int, width: int = 256, layers: int = 10) -> Config:
    return {
        "activation_function": "relu", "architectures": ["OneFormerForUniversalSegmentation"],
        "backbone_config": swin(size), "class_weight": 2.0, "common_stride": 4, "contrastive_temperature": 0.07,
        "contrastive_weight": 0.5, "conv_dim": width, "decoder_layers": layers, "dice_weight": 5.0,
        "dim_feedforward": 8 * width, "dropout": 0.1, "encoder_feedforward_dim": 4 * width,
        "encoder_layers": 6 if layers == 10 else 1, "enforce_input_proj": False, "hidden_dim": width, **labels(classes),
        "ignore_value": 255, "importance_sample_ratio": 0.75, "init_std": 0.02, "init_xavier_std": 1.0,
        "is_training": False, "layer_norm_eps": 1e-05, "mask_dim": width, "mask_weight": 5.0, "max_seq_len": 77,
        "model_type": "oneformer", "no_object_weight": 0.1, "norm": "GN", "num_attention_heads": 8,
        "num_classes": classes, "num_hidden_layers": layers, "num_queries": queries, "output_attentions": True,
        "output_auxiliary_logits": True, "output_hidden_states": True, "oversample_ratio": 3.0, "pre_norm": False,
        "query_dec_layers": 2, "strides": [4, 8, 16, 32], "task_seq_len": 77, "text_encoder_context_length": 77,
        "text_encoder_n_ctx": 16, "text_encoder_num_layers": 6, "text_encoder_proj_layers": 2,
        "text_encoder_vocab_size": 49408, "text_encoder_width": width, "torch_dtype": "float32",
        "train_num_points": 12544, "transformers_version": "4.25.0.dev0", "use_auxiliary_loss": True,
        "use_task_norm": True,
    }  # fmt: skip


def transformer(queries: int, width: int = 256, layers: int = 6) -> Config:
    """DETR's transformer, which MaskFormer's is, too."""
    return {
        "activation_dropout": 0.0, "activation_function": "relu", "attention_dropout": 0.0, "auxiliary_loss": False,
        "backbone": "resnet50", "bbox_cost": 5, "bbox_loss_coefficient": 5, "class_cost": 1, "classifier_dropout": 0.0,
        "d_model": width, "decoder_attention_heads": 8, "decoder_ffn_dim": 8 * width, "decoder_layerdrop": 0.0,
        "decoder_layers": layers, "dice_loss_coefficient": 1, "dilation": False, "dropout": 0.1,
        "encoder_attention_heads": 8, "encoder_ffn_dim": 8 * width, "encoder_layerdrop": 0.0, "encoder_layers": layers,
        "eos_coefficient": 0.1, "giou_cost": 2, "giou_loss_coefficient": 2, "init_std": 0.02, "init_xavier_std": 1.0,
        "is_encoder_decoder": True, "mask_loss_coefficient": 1, "max_position_embeddings": 1024, "model_type": "detr",
        "num_hidden_layers": layers, "num_queries": queries, "position_embedding_type": "sine",
        "scale_embedding": False,
    }  # fmt: skip


def maskformer(size: str, classes: int, queries: int, width: int = 256, layers: int = 6) -> Config:
    backbone = {key: value for key, value in swin(size).items() if key not in ("out_features", "stage_names")}
    return {
        "architectures": ["MaskFormerForInstanceSegmentation"], "cross_entropy_weight": 1.0, "dice_weight": 1.0,
        "backbone_config": {**backbone, "in_channels": 3, "pretrain_img_size": SWIN[size][4]},
        "decoder_config": {**NESTED, **transformer(queries, width, layers)}, "fpn_feature_size": width,
        **labels(classes), "init_std": 0.02, "init_xavier_std": 1.0, "mask_feature_size": width, "mask_weight": 20.0,
        "model_type": "maskformer", "no_object_weight": 0.1, "num_attention_heads": 8, "num_hidden_layers": layers,
        "num_queries": queries, "torch_dtype": "float32", "transformers_version": "4.18.0.dev0",
        "use_auxiliary_loss": False,
    }  # fmt: skip


def detr(classes: int, queries: int, width: int = 256, layers: int = 6, backbone: Config | None = None) -> Config:
    """The hub's files rely on timm's resnet50; `backbone` is a ResNet of transformers, which a test can load."""
    own = {"backbone_config": backbone, **NO_TIMM}
    return {
        "architectures": ["DetrForSegmentation"], **transformer(queries, width, layers), **(own if backbone else {}),
        **labels(classes), "torch_dtype": "float32", "transformers_version": "4.9.0.dev0",
    }  # fmt: skip


def resnet(channels: int, sizes: Sequence[int], depths: Sequence[int], layer: str) -> Config:
    return {
        "model_type": "resnet", "depths": list(depths), "embedding_size": channels, "hidden_sizes": list(sizes),
        "layer_type": layer, "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }  # fmt: skip


def eomt(
    width: int, layers: int, heads: int, side: int, blocks: int, *, classes: int = 133, queries: int = 200,
    swiglu: bool = False,
) -> Config:  # fmt: skip
    return {
        "architectures": ["EomtForUniversalSegmentation"], "attention_dropout": 0.0, "class_weight": 2.0,
        "dice_weight": 5.0, "drop_path_rate": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "hidden_size": width, **labels(classes), "image_size": side, "importance_sample_ratio": 0.75,
        "initializer_range": 0.02, "layer_norm_eps": 1e-06, "layerscale_value": 1.0, "mask_weight": 5.0, "mlp_ratio": 4,
        "model_type": "eomt", "no_object_weight": 0.1, "num_attention_heads": heads, "num_blocks": blocks,
        "num_channels": 3, "num_hidden_layers": layers, "num_queries": queries, "num_register_tokens": 4,
        "num_upscale_blocks": 2, "oversample_ratio": 3.0, "patch_size": 16, "torch_dtype": "float32",
        "train_num_points": 12544, "transformers_version": "4.53.0.dev0", "use_swiglu_ffn": swiglu,
    }  # fmt: skip


SMALL: dict[str, Config] = {
    "mask2former-swin-small-form": mask2former("small-form", 5, 6, width=32, layers=3),
    "oneformer-swin-small-form": oneformer("small-form", 5, 6, width=32, layers=3),
    "maskformer-swin-small-form": maskformer("small-form", 5, 6, width=32, layers=1),
    "detr-resnet-small-form": detr(5, 6, width=32, layers=1, backbone=resnet(8, [8, 8, 16, 16], [1] * 4, "basic")),
    "eomt-small-form": eomt(32, 2, 2, 64, 1, classes=5, queries=6),
    "eomt-swiglu-small-form": eomt(24, 2, 2, 64, 1, classes=5, queries=6, swiglu=True),
}
FULL: dict[str, Config] = {
    "mask2former-swin-tiny-cityscapes-panoptic": mask2former("tiny", 19, 100),
    "mask2former-swin-large-cityscapes-panoptic": mask2former("large", 19, 200),
    "mask2former-swin-tiny-coco-panoptic": mask2former("tiny", 133, 100),
    "maskformer-swin-tiny-coco": maskformer("tiny", 133, 100),
    "detr-resnet-50-panoptic": detr(250, 100),
    "oneformer_cityscapes_swin_large": oneformer("large", 19, 250),
    "coco_panoptic_eomt_small_640_2x": eomt(384, 12, 6, 640, 3),
    "coco_panoptic_eomt_giant_640-4-layers": eomt(1536, 4, 24, 640, 2, swiglu=True),
}
