import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

from crossiqa_edge.errors import OutputError
from crossiqa_edge.model.checkpoint import read_tensors
from crossiqa_edge.training import resume
from crossiqa_edge.training.loop import Task, _stop_requests, _until_stopped, train
from crossiqa_edge.training.optimisation import build_optimiser, learning_rate
from crossiqa_edge.training.resume import CHECKPOINT


def test_batches_end_after_the_one_in_hand_when_a_stop_is_asked_for():
    stop, seen = threading.Event(), []
    for batch in _until_stopped(range(5), stop):
        seen.append(batch)
        if batch == 2:
            stop.set()
    assert seen == [0, 1, 2]


SIGNALLED = """
import os, signal, sys
import torch
from crossiqa_edge.training.distributed import World
from crossiqa_edge.training.pretrain import pretrain
from crossiqa_edge.training.recipe import PretrainRecipe

def observe(step, losses):
    if step == 2:
        os.killpg(0, signal.{signal})
        signal.sigtimedwait([], 1.0)  # a worker that ended would be noticed within

recipe = PretrainRecipe("micro", size="micro", view_size=32, batch=2, steps=50, precision="fp32")
world = World(0, 1, torch.device("cpu"))
pretrain(recipe, sys.argv[1], sys.argv[2], world, workers=1, observer=observe)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_to_all_processes_leaves_the_state(photos, tmp_path, name):
    """As schedulers and terminals send it: to the workers that make views, too."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(signal=name), photos, tmp_path],
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "KeyboardInterrupt" in done.stderr.splitlines()[-1]
    assert read_tensors(tmp_path / CHECKPOINT)[1]["step"] == "2"


def test_signals_ask_for_a_stop():
    with _stop_requests() as requested:
        os.kill(os.getpid(), signal.SIGTERM)
        assert requested.is_set()


def test_handlers_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with _stop_requests():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


class Pull(nn.Module):
    """One number, drawn towards those of the batch."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))

    def forward(self, wanted):
        return {"total": (self.place - wanted).square().mean()}


def pulled(recipe, report=lambda average, step: {}):
    module = Pull()
    items = [(torch.full((1,), 5.0),)] * (recipe.batch * recipe.steps)
    return Task(module, build_optimiser(module, recipe), items, report, views_per_item=1, facts={})


def test_the_average_of_all_steps_is_what_is_judged_and_returned(micro, tmp_path, alone):
    recipe, judged, steps = micro(learning_rate=0.1, ema_decay=0.5), [], [0.0]
    task = pulled(recipe, lambda average, step: judged.append(average.place.item()) or {})

    def follow(step, losses):
        steps.append(task.module.place.item())

    average = train(task, recipe, tmp_path, alone, workers=0, observer=follow)
    expected = 0.0
    for step, place in enumerate(steps[1:]):
        decay = min(0.5, (step + 1) / (step + 10))
        expected = decay * expected + (1 - decay) * place
    assert average.place.item() == judged[-1] == pytest.approx(expected, rel=1e-5)
    assert 0 < expected < 0.99 * steps[-1]
    assert len(judged) == 2


def test_steps_go_at_the_rate_of_the_schedule_by_gradients_of_bounded_norm(micro, tmp_path, alone):
    """AdamW goes as far as its rate where every gradient is the same; here all are bounded to the same."""
    recipe = micro(learning_rate=0.1, warmup_steps=3, steps=12, clip_norm=0.5)
    task, places, gradients = pulled(recipe), [0.0], []

    def follow(step, losses):
        places.append(task.module.place.item())
        gradients.append(task.module.place.grad.item())

    train(task, recipe, tmp_path, alone, workers=0, observer=follow)
    rates = [learning_rate(step, recipe) for step in range(12)]
    assert np.diff(places) == pytest.approx(rates, rel=1e-3)
    assert gradients == pytest.approx([-0.5] * 12, rel=1e-4)  # unbounded, the first would be -10


def test_a_state_is_kept_within_an_epoch_where_that_takes_long(micro, tmp_path, alone):
    recipe = micro()

    def fail(step, losses):
        if step == 3:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(pulled(recipe), recipe, tmp_path, alone, workers=0, checkpoint_minutes=0.0, observer=fail)
    assert read_tensors(tmp_path / CHECKPOINT)[1]["step"] == "2"


def test_a_state_that_cannot_be_written_leaves_the_one_before(micro, tmp_path, alone, monkeypatch):
    recipe = micro()

    def full(tensors, metadata):
        if metadata["step"] == "6":
            raise OSError("no room")
        return save(tensors, metadata=metadata)

    save = resume.save
    monkeypatch.setattr(resume, "save", full)
    with pytest.raises(OutputError, match="no room"):
        train(pulled(recipe), recipe, tmp_path, alone, workers=0)
    assert read_tensors(tmp_path / CHECKPOINT)[1]["step"] == "3"
