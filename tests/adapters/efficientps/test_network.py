"""The network's shapes and sizes beside the paper's, its parts by hand, and what is kept in a folder."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_efficientps import CONFIG, network, varied  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from bench.adapters.efficientps.backbone import EfficientNet, explicit  # noqa: E402
from bench.adapters.efficientps.boxes import anchors, decode, encode  # noqa: E402
from bench.adapters.efficientps.config import BackboneConfig, NetworkConfig, SemanticConfig  # noqa: E402
from bench.adapters.efficientps.layers import SameConv  # noqa: E402
from bench.adapters.efficientps.neck import gathered  # noqa: E402
from bench.adapters.efficientps.network import Network, build  # noqa: E402
from bench.adapters.efficientps.storage import load, save  # noqa: E402
from bench.datasets.label_spaces import load_space  # noqa: E402
from bench.errors import ModelError, UsageError  # noqa: E402
from bench.io.canonical_json import to_plain  # noqa: E402
from bench.io.config import from_dict  # noqa: E402
from bench.types import Categories, Category  # noqa: E402

CITYSCAPES = load_space("cityscapes-19").evaluated


@pytest.mark.parametrize(
    ("variant", "widths", "blocks"),
    [
        ("b0", (24, 40, 112, 1280), (1, 2, 2, 3, 3, 4, 1)),
        ("b4", (32, 56, 160, 1792), (2, 4, 4, 6, 6, 8, 2)),
        ("b5", (40, 64, 176, 2048), (3, 5, 5, 7, 7, 9, 3)),
    ],
)
def test_the_backbone_is_scaled_as_published(variant: str, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    with torch.inference_mode():
        features = EfficientNet(BackboneConfig(variant)).eval()(torch.zeros(1, 3, 32, 64))
    assert [tuple(x.shape[1:]) for x in features] == [
        (n, 32 // s, 64 // s) for n, s in zip(widths, (4, 8, 16, 32), strict=True)
    ]
    assert tuple(stage.blocks for stage in explicit(BackboneConfig(variant))[1]) == blocks


def test_the_tensors_have_timms_names_and_no_squeeze() -> None:
    names = set(EfficientNet(BackboneConfig("b0")).state_dict())
    assert {"conv_stem.weight", "bn1.running_mean", "blocks.0.0.conv_dw.weight", "blocks.0.0.conv_pw.weight"} <= names
    assert {"blocks.6.0.conv_pw.weight", "blocks.6.0.conv_pwl.weight", "blocks.6.0.bn3.bias", "bn2.weight"} <= names
    assert "conv_head.weight" in names and not any("se" in name.split(".") for name in names)


def test_parameters_and_multiply_adds_of_the_papers_configuration() -> None:
    """40.9 M parameters (the paper: 40.89) and, for an image of 1024 × 2048, 235.6 G multiply-adds and 24.6 G more for
    1000 proposals and 100 masks.

    Counted on a 16th of each side, since all that grows with the image grows with its area, on 10 proposals and 1 mask.
    """
    model = Network(NetworkConfig(), [c.name for c in CITYSCAPES], [i for i, c in enumerate(CITYSCAPES) if c.isthing])
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == 40_898_499
    assert abs(parameters / 40.89e6 - 1) < 0.001
    model.eval()
    boxes = torch.tensor([[0.0, 0.0, 30.0, 30.0]])
    with torch.inference_mode():
        with FlopCounterMode(display=False) as dense:
            features = model.features(torch.zeros(1, 3, 64, 128))
            model.semantic_head(features)
            model.rpn_head(features)
        with FlopCounterMode(display=False) as regions:
            model.region(features, [boxes.expand(10, 4)])
        with FlopCounterMode(display=False) as masks:
            model.masks(features, [boxes], torch.zeros(1, dtype=torch.int64))
    multiply_adds = [c.get_total_flops() / 2 * times for c, times in ((dense, 256), (regions, 100), (masks, 100))]
    assert multiply_adds == [235_619_614_720, 13_935_616_000, 10_617_241_600]


@pytest.mark.parametrize(("n", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (8, 5, 2), (9, 5, 1)])
def test_same_padding_is_tensorflows(n: int, kernel: int, stride: int) -> None:
    """Output i looks at inputs from i * stride - before, where before is the smaller half of the padding."""
    conv = SameConv(1, 1, kernel, stride)
    torch.nn.init.ones_(conv.weight)
    out = conv(torch.ones(1, 1, n, n))[0, 0]
    padding = max((-(-n // stride) - 1) * stride + kernel - n, 0)
    reach = [range(i * stride - padding // 2, i * stride - padding // 2 + kernel) for i in range(-(-n // stride))]
    seen = np.array([sum(0 <= p < n for p in r) for r in reach])
    np.testing.assert_array_equal(out.detach().numpy(), np.outer(seen, seen))


def test_levels_are_gathered_both_ways() -> None:
    coarse, fine = torch.tensor([[[[1.0, 2.0]]]]), torch.zeros(1, 1, 2, 4)
    assert gathered([coarse, fine])[1][0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert gathered([torch.arange(8.0).view(1, 1, 2, 4), coarse])[1][0, 0].tolist() == [[1, 4]]


def test_the_semantic_heads_shortcut_is_the_papers_sum() -> None:
    """Each level enlarged to stride 4, joined, one 1 × 1 convolution."""
    head = network().semantic_head.eval()
    features = [torch.randn(1, 24, 32 // 2**i, 64 // 2**i) for i in range(4)]
    kept: list = []
    convs = [*head.lateral_convs_ss, *head.lateral_convs_ls, *head.aligning_convs]
    for module in convs:
        module.register_forward_hook(lambda _, __, out: kept.append(out))
    with torch.no_grad():
        ours = head(features)
        coarse32, coarse16, fine8, fine4, align8, align4 = kept

        def up(x, like):
            return torch.nn.functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)

        levels = [coarse32, coarse16 + up(coarse32, coarse16), fine8 + up(align8, fine8), fine4 + up(align4, fine4)]
        paper = head.conv_logits(torch.cat([up(x, fine4) for x in levels], 1))
    torch.testing.assert_close(ours, paper, rtol=1e-4, atol=1e-4)


def test_anchors_stand_on_the_cells() -> None:
    found = anchors([(1, 2), (1, 1)], (4, 8), 2.0, (1.0, 4.0))
    assert found.tolist() == [
        [-2, -2, 6, 6], [0, -6, 4, 10], [2, -2, 10, 6], [4, -6, 8, 10], [-4, -4, 12, 12], [0, -12, 8, 20],
    ]  # fmt: skip


def test_boxes_survive_their_coding() -> None:
    origin = torch.tensor([[0.0, 0, 10, 20], [5, 5, 9, 9]])
    boxes = torch.tensor([[2.0, 1, 9, 25], [4, 6, 20, 30]])
    stds = (0.1, 0.1, 0.2, 0.2)
    torch.testing.assert_close(decode(encode(boxes, origin, stds), origin, stds, (100, 100)), boxes)
    assert decode(torch.zeros(2, 4), origin, stds, (8, 8)).tolist() == [[0, 0, 8, 8], [5, 5, 8, 8]]


def test_what_comes_out_fits_together() -> None:
    model = varied().eval()
    with torch.inference_mode():
        first, second = model(torch.randn(2, 3, 64, 96))
    for found in (first, second):
        assert found.semantic.shape == (19, 16, 24)
        n = len(found.scores)
        assert 1 < n <= CONFIG.box.limit
        assert found.boxes.shape == (n, 4) and found.masks.shape == (n, 14, 14)
        assert set(found.labels.tolist()) <= {i for i, c in enumerate(CITYSCAPES) if c.isthing}
        assert (found.scores.diff() <= 0).all() and found.scores.min() > CONFIG.box.score_threshold
        assert found.boxes.min() >= 0 and (found.boxes[:, 2:].amax(0) <= torch.tensor([96, 64])).all()


def test_an_image_is_what_it_is_in_any_batch() -> None:
    model = varied().eval()
    pixels = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        alone, among = model(pixels[1:2])[0], model(pixels)[1]
    torch.testing.assert_close(alone.semantic, among.semantic, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(alone.boxes, among.boxes, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(alone.masks, among.masks, rtol=1e-2, atol=1e-2)


def test_a_folder_gives_the_network_back(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = varied()
    save(model, tmp_path, (64, 128))
    assert {t.dtype for t in load_file(tmp_path / "model.safetensors").values() if t.is_floating_point()} == {
        torch.float16
    }
    back = load(tmp_path)
    assert (back.names, back.things, back.config) == (model.names, model.things, model.config)
    assert not back.training and next(model.parameters()).dtype == torch.float32
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name].to(tensor.dtype), tensor, rtol=1e-3, atol=1e-4)


def test_a_configuration_is_read_back_as_it_was_written() -> None:
    assert from_dict(NetworkConfig, json.loads(json.dumps(to_plain(CONFIG))), "here") == CONFIG


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda c: c.update(model_type="detr"), "of that family"),
        (lambda c: c["network"].update(width=32), "another shape"),
        (lambda c: c["network"].update(wdth=32), "did you mean"),
        (lambda c: c["network"]["mask"].update(depth=2), "are missing"),
        (lambda c: c["network"]["mask"].update(depth=0), "left over"),
        (lambda c: c.pop("things"), "not a configuration"),
    ],
)
def test_a_folder_that_does_not_fit_is_told(tmp_path: Path, spoil, said: str) -> None:
    save(network(), tmp_path, (64, 128))
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    spoil(config)
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=said):
        load(tmp_path)


def test_broken_files_are_told(tmp_path: Path) -> None:
    save(network(), tmp_path, (64, 128))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path)


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a class with instances"):
        build(CONFIG, Categories((Category(1, "road", False, (0, 0, 0)),)))
    with pytest.raises(UsageError, match="own needs stem"):
        BackboneConfig("own")
    with pytest.raises(UsageError, match="not to b0"):
        BackboneConfig("b0", stem=8)
    with pytest.raises(UsageError, match="5 dilations"):
        SemanticConfig(dilations=((1, 1),))
