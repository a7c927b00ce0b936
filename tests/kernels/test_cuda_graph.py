"""Graphs by shape: what is recorded, replayed and forgotten, with a recorder that stands in for CUDA's."""

import torch

from crossiqa_edge.kernels.graph import MAX_SHAPES, Graphed


class Recorder:
    """Records like ``graph.capture``: replaying computes on what the static tensor holds by then."""

    def __init__(self):
        self.recorded = []
        self.replayed = 0

    def __call__(self, function, static):
        self.recorded.append(tuple(static.shape))
        result = function(static)

        def replay():
            self.replayed += 1
            result.copy_(function(static))

        return replay, result


def double(x):
    return 2 * x


def test_a_shape_is_recorded_once_and_replayed_with_what_is_given():
    recorder = Recorder()
    graphed = Graphed(double, recorder)
    for value in (1.0, 5.0, 7.0):
        assert graphed(torch.full((2, 3), value)).tolist() == [[2 * value] * 3] * 2
    assert (recorder.recorded, recorder.replayed) == ([(2, 3)], 3)


def test_results_are_not_overwritten_by_the_next_call():
    graphed = Graphed(double, Recorder())
    first = graphed(torch.ones(2))
    graphed(torch.zeros(2))
    assert first.tolist() == [2.0, 2.0]


def test_shapes_and_types_have_graphs_of_their_own():
    recorder = Recorder()
    graphed = Graphed(double, recorder)
    graphed(torch.ones(2))
    graphed(torch.ones(3))
    assert graphed(torch.ones(2, dtype=torch.uint8)).dtype == torch.uint8
    graphed(torch.ones(2))
    assert recorder.recorded == [(2,), (3,), (2,)]


def test_the_shape_that_was_used_longest_ago_is_forgotten():
    recorder = Recorder()
    graphed = Graphed(double, recorder)
    for length in range(1, MAX_SHAPES + 1):
        graphed(torch.ones(length))
    graphed(torch.ones(1))  # now 2 is the oldest
    graphed(torch.ones(MAX_SHAPES + 1))
    recorder.recorded.clear()
    graphed(torch.ones(1))
    assert recorder.recorded == []
    graphed(torch.ones(2))
    assert recorder.recorded == [(2,)]


def test_streams_take_turns_on_what_a_shape_has_recorded(monkeypatch):
    """Else one caller's input would be copied over another's while that is still read."""
    log = []

    class Event:
        def record(self, stream):
            log.append((stream, "frees"))

        def synchronize(self):
            log.append("all is done")

    class Stream(str):
        def wait_event(self, event):
            log.append((self, "waits"))

    def called_on(stream, x):
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(stream))
        return graphed(x)

    def replays(function, static):
        result = function(static)
        return lambda: (log.append("replays"), result.copy_(function(static))), result

    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    graphed = Graphed(double, replays)
    called_on("one", torch.ones(2))
    assert called_on("other", torch.full((2,), 3.0)).tolist() == [6.0, 6.0]
    turns = [[(stream, "waits"), "replays", (stream, "frees")] for stream in ("one", "other")]
    assert log == [*turns[0], *turns[1]]
    for length in range(3, MAX_SHAPES + 3):
        called_on("one", torch.ones(length))
    assert log.count("all is done") == 1  # before the memory of the first shape was given back
