"""Query models of transformers. Post-processing is ours: adapters hand raw logits to `bench.fusion`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.errors import ModelError
from bench.models import InputSize, ModelSpec
from bench.types import Image, Prediction

# ImageNet statistics on the 0..255 scale; every checkpoint here was trained with them.
PIXEL_MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
PIXEL_STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)
HUB_SECONDS = 15.0


@dataclass(frozen=True, eq=False)
class Output:
    """Raw logits of one image: (Q, C + 1) and (Q, h, w) float32 on the CPU; sizes are (H, W) pixels."""

    class_logits: Any
    mask_logits: Any
    padded_size: tuple[int, int]
    image_size: tuple[int, int]


class Mask2Former:
    """Mask2FormerForUniversalSegmentation, from the hub or a local folder."""

    model_class = "Mask2FormerForUniversalSegmentation"

    def __init__(self, spec: ModelSpec, device: str = "auto") -> None:
        import torch

        self.spec = spec
        self.categories = spec.space
        self.device = pick_device(device)
        self.dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[spec.precision]
        folder = Path(spec.source) if spec.local else fetch(spec.source, spec.revision)
        self.revision = None if spec.local else folder.name  # the hub's cache names a snapshot by its commit
        self.hardware = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else None
        self.model = load_pretrained(folder, self.model_class).to(self.device).eval()
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        check_classes(spec, self.model.config.id2label)

    def preprocess(self, image: Image) -> NDArray[np.float32]:
        """(3, h, w) float32, scaled to the spec's input size and normalised."""
        height, width = scaled_size(image.size, self.spec.input)
        rgb = image.rgb
        if (height, width) != image.size:
            resized = PilImage.fromarray(rgb).resize((width, height), PilImage.Resampling.BILINEAR)
            rgb = np.asarray(resized)
        return np.ascontiguousarray(((rgb - PIXEL_MEAN) / PIXEL_STD).transpose(2, 0, 1))

    def infer(self, batch: Sequence[NDArray[np.float32]]) -> list[Output]:
        """Pads the batch to one size (bottom and right, as detectron2 does) and runs the network."""
        import torch

        pixels = torch.from_numpy(pad_batch(batch, self.spec.input.divisor)).to(self.device)
        autocast = torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype is not None)
        with torch.inference_mode(), autocast:
            out = self.model(pixel_values=pixels)
        classes, masks = out.class_queries_logits.float().cpu(), out.masks_queries_logits.float().cpu()
        height, width = int(pixels.shape[-2]), int(pixels.shape[-1])
        return [
            Output(classes[i], masks[i], (height, width), (image.shape[1], image.shape[2]))
            for i, image in enumerate(batch)
        ]

    def synchronize(self) -> None:
        """Waits until the device has done all that it was given."""
        import torch

        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)

    def postprocess(self, output: Output, size: tuple[int, int]) -> Prediction:
        from bench.fusion.logits import Frame
        from bench.fusion.queries import fuse
        from bench.fusion.semantic import semantic

        frame = Frame(output.padded_size, output.image_size, size)
        logits = output.class_logits, output.mask_logits
        panoptic = fuse(*logits, frame, self.categories, self.spec.fusion)
        return Prediction(panoptic, semantic(*logits, frame, self.categories))


def scaled_size(size: tuple[int, int], to: InputSize) -> tuple[int, int]:
    """(H, W) after scaling the shorter side to its target unless the longer passes its limit (detectron2)."""
    scale = to.shorter / min(size)
    if max(size) * scale > to.longer:
        scale = to.longer / max(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def pad_batch(batch: Sequence[NDArray[np.float32]], divisor: int) -> NDArray[np.float32]:
    """(B, 3, H, W): zeros to the right and below, up to the largest of the batch, a multiple of `divisor`."""
    height = -(-max(image.shape[1] for image in batch) // divisor) * divisor
    width = -(-max(image.shape[2] for image in batch) // divisor) * divisor
    padded = np.zeros((len(batch), 3, height, width), dtype=np.float32)
    for target, image in zip(padded, batch, strict=True):
        target[:, : image.shape[1], : image.shape[2]] = image
    return padded


def pick_device(device: str) -> str:
    """`auto` is CUDA where there is one; a device that is not there is a ModelError."""
    import torch

    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device.startswith("cuda") and not available:
        raise ModelError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return device


def load_pretrained(source: Path, model_class: str) -> Any:
    """The model in float32; safetensors first, else weights-only unpickling; never remote code."""
    import torch
    import transformers

    quiet: Any = transformers.logging
    quiet.disable_progress_bar()
    quiet.set_verbosity_error()
    try:
        model, report = getattr(transformers, model_class).from_pretrained(
            source, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except Exception as error:
        raise ModelError(f"{source}: cannot be loaded as {model_class} ({_first_line(error)})") from None
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(f"{source}: {len(missing)} tensors of {model_class} are missing, first {missing[0]}")
    return model


def fetch(repo: str, revision: str | None) -> Path:
    """The folder of a hub checkpoint: the local cache, else a download; an unreachable hub ends in 15 s."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are no news: the outcome is one message
    wanted = ["config.json", "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin*"]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, local_files_only=True))
    except LocalEntryNotFoundError:
        files = within(HUB_SECONDS, lambda: _hub_files(repo, revision), f"{repo}: the hub did not answer")
    safe = any(name.endswith(".safetensors") for name in files)
    chosen = [pattern for pattern in wanted if not (safe and "bin" in pattern)]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=chosen))
    except Exception as error:
        raise ModelError(f"{repo}: the download failed ({_first_line(error)}); run the command again") from None


def _hub_files(repo: str, revision: str | None) -> list[str]:
    from huggingface_hub import HfApi

    return list(HfApi().list_repo_files(repo, revision=revision))


def within(seconds: float, call: Callable[[], list[str]], failure: str) -> list[str]:
    """`call()` on a thread of its own, since name look-up and retries have no deadline of theirs."""
    results: list[list[str]] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    reason = _first_line(errors[0]) if errors else f"no answer in {seconds:.0f} s"
    raise ModelError(f"{failure} ({reason}); download it elsewhere and give --checkpoint DIR") from None


def check_classes(spec: ModelSpec, id2label: dict[int, str]) -> None:
    """The checkpoint's classes must be those of the declared space, in its order."""
    names = [id2label[i] for i in sorted(id2label)]
    if len(names) != len(spec.space):
        raise ModelError(f"{spec.source}: {len(names)} classes, but {spec.categories} has {len(spec.space)}")
    anonymous = all(name.startswith("LABEL_") for name in names)
    for name, category in zip(names, spec.space, strict=True):
        if not anonymous and name != category.name:
            raise ModelError(f"{spec.source}: class {name!r} stands where {spec.categories} has {category.name!r}")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
