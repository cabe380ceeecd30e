"""However many images go through the network at once, on however many threads: the same gradients."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from training_runs import recipe_of

from bench.errors import ModelError, UsageError
from bench.training.data.batches import Batch
from bench.training.data.scenes import TargetGrid
from bench.training.gradients import Engine, batch_that_fits, gradients
from bench.training.learner import replica
from bench.training.recipe import Phase
from bench.training.train import accelerator_of


class Plain(torch.nn.Module):
    """The mean over images of (w · x)²; more than `room` images at once do not fit."""

    def __init__(self, room=99):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(3.0))
        self.room, self.seen = room, []

    def forward(self, part):
        self.seen.append(len(part.pixels))
        if len(part.pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"square": (part.pixels.mean((2, 3)) @ self.weight).square().mean()}


def batch_of(count=6):
    pixels = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    cells = TargetGrid(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((1, 4), np.float32))
    return Batch(pixels, (cells,) * count, tuple(range(count)), Phase(1.0, (4, 4), count), count, count)


@pytest.fixture(scope="module")
def accelerator():
    return accelerator_of(recipe_of())


def engine_of(accelerator, model, threads=1, **changes):
    replicas = [model] if threads == 1 else [replica(model) for _ in range(threads)]
    said = changes.pop("said", [])
    return Engine(accelerator, model, replicas, ThreadPoolExecutor(threads), 0, changes.pop("at_once", None),
                  said.append, **changes)  # fmt: skip


@pytest.mark.parametrize(("threads", "at_once"), [(1, 1), (1, 4), (2, None), (2, 2), (4, 1)])
def test_any_cut_of_a_batch_gives_the_same_gradients(accelerator, threads, at_once):
    whole, cut = Plain(), Plain()
    terms = gradients(engine_of(accelerator, whole), batch_of())
    assert gradients(engine_of(accelerator, cut, threads, at_once=at_once), batch_of()) == pytest.approx(terms)
    torch.testing.assert_close(cut.weight.grad, whole.weight.grad)


def test_out_of_memory_halves_the_images_at_once_and_keeps_the_batch(accelerator):
    whole, tight, said = Plain(), Plain(room=1), []
    gradients(engine_of(accelerator, whole), batch_of())
    engine = engine_of(accelerator, tight, said=said)
    gradients(engine, batch_of())
    torch.testing.assert_close(tight.weight.grad, whole.weight.grad)
    assert engine.micro_batch_size == 1 and tight.seen == [6, 3, *[1] * 6]
    assert said[0] == "out of memory with 6 images at once; going on with 3 at once, the batch stays 6 by accumulation"


def test_out_of_memory_at_one_image_is_one_sentence(accelerator):
    with pytest.raises(ModelError, match=r"out of memory with one image of 4x4 px at a time; lower phases.crop_px"):
        gradients(engine_of(accelerator, Plain(room=0)), batch_of())


def test_other_errors_are_not_taken_for_memory(accelerator):
    model = Plain()
    model.weight.data = torch.zeros(5)
    with pytest.raises(RuntimeError, match="size mismatch"):
        gradients(engine_of(accelerator, model), batch_of())


def test_a_crop_of_one_pixel_is_named(accelerator):
    class Normed(Plain):
        def forward(self, part):
            torch.nn.functional.group_norm(part.pixels.mean((2, 3), keepdim=True), 3)
            return super().forward(part)

    with pytest.raises(UsageError, match=r"one crop of 4x4 px is too small .* raise phases.crop_px"):
        gradients(engine_of(accelerator, Normed()), batch_of(1))


class FakeMeter:
    """100 bytes an image, of which `bytes` are free."""

    def __init__(self, free):
        self.bytes = free

    def start(self):
        pass

    def peak(self):
        return 100

    def free(self):
        return self.bytes


@pytest.mark.parametrize(("free", "at_once"), [(450, 4), (50, 1), (10_000, 6)])
def test_auto_measures_one_image_and_takes_what_fits(accelerator, free, at_once):
    model, said = Plain(), []
    engine = engine_of(accelerator, model, said=said, meter=FakeMeter(free), probing=True)
    gradients(engine, batch_of())
    assert model.seen == [1] * 6 and engine.micro_batch_size == at_once and f"{at_once} of 6 at once" in said[0]
    gradients(engine, batch_of())
    assert model.seen[6] == min(at_once, 6)


def test_what_fits_is_at_least_one_and_at_most_the_batch():
    assert [batch_that_fits(1000, 100, 8), batch_that_fits(0, 100, 8), batch_that_fits(10**9, 100, 8)] == [8, 1, 8]
    assert batch_that_fits(500, 100, 8) == 4  # a tenth of the free memory is left alone
