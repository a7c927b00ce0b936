"""Staging, graphs and the ring of slots, on a device that does everything as late as it may."""

import threading

import numpy as np
import pytest
from fake_cuda import FakeCuda, MeanEngine, as_torch_has_it, on_device

from crossiqa_edge.errors import BackendError
from crossiqa_edge.runtime.plan_runner import PlanRunner, batch_sizes, chunks, device_views

SIZE = 16


@pytest.fixture
def cuda():
    return FakeCuda()


@pytest.fixture
def engine(cuda):
    return MeanEngine(cuda, SIZE)


@pytest.fixture
def runner(cuda, engine):
    return PlanRunner(cuda, engine, (1, 4, 6), SIZE)


def some_views(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def expected(views):
    return views.reshape(len(views), -1).mean(1) / 2.55


@pytest.mark.parametrize("count", [1, 3, 6, 7, 12, 13, 40])
def test_scores_whatever_the_number_of_views(runner, count):
    views = some_views(count)
    for _ in range(2):  # the second time with captured graphs
        scores = runner.run(views)
        assert (scores.dtype, scores.shape) == (np.float32, (count,))
        np.testing.assert_allclose(scores, expected(views), rtol=1e-5)


def test_scores_of_views_that_are_not_contiguous(runner):
    views = some_views(5)[:, ::-1]
    np.testing.assert_allclose(runner.run(views), expected(views), rtol=1e-5)


def test_a_graph_is_captured_once_per_slot_and_size(runner, cuda):
    for _ in range(3):
        runner.run(some_views(17))  # 6 + 6 + 5: both slots at 6, and 5 rounded up to 6
    assert len(cuda.graphs) == 2
    assert cuda.launches == 9
    runner.run(some_views(2))
    assert len(cuda.graphs) == 3


def test_every_graph_has_a_context_of_its_own(runner, cuda, engine):
    for count in (17, 2, 17, 2):  # the stand-in fails where a context has served another graph meanwhile
        views = some_views(count)
        np.testing.assert_allclose(runner.run(views), expected(views), rtol=1e-5)
    assert len(engine.contexts) == len(cuda.graphs) == 3
    assert [set(context.batches) for context in engine.contexts] == [{6}, {6}, {2}]


def test_contexts_share_the_memory_of_their_slot_and_slots_share_none(cuda, engine):
    used = cuda.used
    runner = PlanRunner(cuda, engine, (1, 4, 6), SIZE)
    taken = cuda.used - used
    for count in (17, 8):  # 6 + 6 + 5 by turns, then 6 + 2
        runner.run(some_views(count))
    first, second, again = (context.memory for context in engine.contexts)  # the 2 in the second slot
    assert first != second == again
    assert cuda.used - used == taken == 2 * (6 * SIZE * SIZE * 3 + 6 * 4 + engine.memory)


def test_an_engine_that_needs_no_memory_gets_none(cuda, engine):
    engine.memory = 0
    PlanRunner(cuda, engine, (1, 4, 6), SIZE).run(some_views(3))
    assert [context.memory for context in engine.contexts] == [0]


def test_what_cannot_be_captured_is_executed_every_time(cuda):
    runner = PlanRunner(cuda, MeanEngine(cuda, SIZE, capturable=False), (1, 4, 6), SIZE)
    for seed in range(3):
        views = some_views(17, seed)
        np.testing.assert_allclose(runner.run(views), expected(views), rtol=1e-5)
    assert (cuda.graphs, cuda.launches) == ([], 0)


def test_padding_is_not_scored_as_views(runner):
    runner.run(some_views(6))
    views = some_views(5, seed=1)
    np.testing.assert_allclose(runner.run(views), expected(views), rtol=1e-5)


def test_views_on_the_device_are_copied_from_there(runner):
    views = some_views(9)
    found = device_views(on_device(views), SIZE)
    np.testing.assert_allclose(runner.run(found), expected(views), rtol=1e-5)


def test_views_of_which_no_stream_is_named_are_read_once_the_device_is_done(runner, cuda):
    views, made = np.zeros((3, SIZE, SIZE, 3), np.uint8), some_views(3)
    cuda.enqueue(lambda: np.copyto(views, made), stream=1)
    found = device_views(as_torch_has_it(views), SIZE)
    np.testing.assert_allclose(runner.run(found), expected(made), rtol=1e-5)
    assert cuda.synchronised[0] == "device"


def test_views_that_are_done_are_waited_for_by_nobody(runner, cuda):
    runner.run(some_views(3))
    cuda.synchronised.clear()
    views = some_views(3)
    np.testing.assert_allclose(runner.run(device_views(on_device(views), SIZE)), expected(views), rtol=1e-5)
    assert cuda.synchronised == []


def test_a_failure_leaves_the_runner_usable(runner, cuda):
    cuda.failing = True
    with pytest.raises(BackendError, match="cudaMemcpyAsync"):
        runner.run(some_views(3))
    cuda.failing = False
    views = some_views(3)
    np.testing.assert_allclose(runner.run(views), expected(views), rtol=1e-5)
    assert not any(cuda.queues.values())


def test_a_failure_half_way_leaves_nothing_under_way(runner, cuda, monkeypatch):
    copy, copies = cuda.copy, []

    def third_fails(*words):
        copies.append(words)
        if len(copies) == 3:  # views and scores of the first batch, views of the second
            raise BackendError("CUDA: cudaMemcpyAsync failed")
        copy(*words)

    monkeypatch.setattr(cuda, "copy", third_fails)
    with pytest.raises(BackendError, match="cudaMemcpyAsync"):
        runner.run(some_views(18))
    assert not any(cuda.queues.values())


def test_a_second_caller_is_held_up_until_the_first_has_its_scores(runner, cuda, monkeypatch):
    wait, found = cuda.wait, []
    views, others = some_views(6), some_views(6, seed=1)
    second = threading.Thread(target=lambda: found.append(runner.run(others)))

    def meanwhile(event):
        if second.ident is None:
            second.start()
            second.join(0.3)
        wait(event)

    monkeypatch.setattr(cuda, "wait", meanwhile)
    np.testing.assert_allclose(runner.run(views), expected(views), rtol=1e-5)
    second.join(30)
    np.testing.assert_allclose(found, [expected(others)], rtol=1e-5)


def test_the_next_batch_is_copied_while_one_computes(runner, cuda):
    """Of three batches of 6, the second is on the device before the first, still queued, has computed."""
    views = some_views(18)
    runner.run(views)  # captures the graphs, for which it must wait
    compute, uploads = sorted(cuda.queues)
    cuda.done.clear()
    np.testing.assert_allclose(runner.run(views), expected(views), rtol=1e-5)
    order = [entry for entry in cuda.done if entry in ((uploads, "copy"), (compute, "compute"))]
    assert order == [(uploads, "copy"), (compute, "compute"), (uploads, "copy")] + 2 * [(compute, "compute")]


def test_a_batch_alone_waits_for_nothing_but_its_scores(runner, cuda):
    runner.run(some_views(6))
    cuda.synchronised.clear()
    runner.run(some_views(6))
    assert cuda.synchronised == []


def test_closed_it_says_so(runner, cuda):
    runner.close()
    runner.close()
    assert cuda.closed
    with pytest.raises(BackendError, match="closed"):
        runner.run(some_views(1))


@pytest.mark.parametrize(
    ("profile", "sizes"),
    [
        ((1, 8, 32), (1, 2, 4, 8, 16, 32)),
        ((1, 3, 12), (1, 2, 3, 4, 8, 12)),
        ((1, 1, 1), (1,)),
        ((5, 5, 5), (5,)),  # an accelerator's plan
    ],
)
def test_batch_sizes(profile, sizes):
    assert batch_sizes(profile) == sizes


def test_chunks_cover_everything_once():
    assert list(chunks(13, 6)) == [(0, 6), (6, 6), (12, 1)]
    assert list(chunks(6, 6)) == [(0, 6)]


class TestDeviceViews:
    def test_what_is_not_on_the_device_is_left_alone(self):
        assert device_views(some_views(1), SIZE) is None

    def test_address_count_and_stream(self):
        views = some_views(3)
        found = device_views(on_device(views, stream=2), SIZE)
        assert (found.address, found.count, found.stream) == (views.ctypes.data, 3, 2)

    @pytest.mark.parametrize(
        "change",
        [
            {"typestr": "<f4"},
            {"typestr": "|i1"},
            {"shape": (3, 3, SIZE, SIZE)},
            {"shape": (0, SIZE, SIZE, 3)},
            {"shape": (SIZE, SIZE, 3)},
        ],
    )
    def test_refuses_other_types_and_shapes(self, change):
        with pytest.raises(BackendError, match="uint8"):
            device_views(on_device(some_views(3), **change), SIZE)

    def test_refuses_what_is_not_contiguous(self):
        views = some_views(2)
        assert device_views(on_device(views, strides=views.strides), SIZE)
        with pytest.raises(BackendError, match="contiguous"):
            device_views(on_device(views, strides=views[:, ::-1].strides), SIZE)
