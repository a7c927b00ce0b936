import os
import signal
import subprocess
import sys
import threading

import pytest

from crossiqa_edge.model.checkpoint import read_tensors
from crossiqa_edge.training.loop import _stop_requests, _until_stopped
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
