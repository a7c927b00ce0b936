"""A GPU that is a clock, and cases that are no kernels."""

from types import SimpleNamespace

import torch

from crossiqa_edge.bench.kernel_cases import Case, Planned
from crossiqa_edge.bench.kernel_names import EAGER, OURS
from crossiqa_edge.bench.kernel_run import Budget, Roof, run

ROOF = Roof(1e12, 1e11, 2e12)  # operations, bytes, and operations in int8 a second


class Clock:
    """A timer that takes what a call is said to take, and counts."""

    def __init__(self, milliseconds=None):
        self.milliseconds = milliseconds or (lambda call: 1.0)
        self.timed = []
        self.recorded = []

    def __call__(self, call):
        call()
        self.timed.append(call)
        return self.milliseconds(call)

    def record(self, call):
        def replay():
            return call()

        self.recorded.append(call)
        real = self.milliseconds
        self.milliseconds = lambda timed: real(call) if timed is replay else real(timed)
        return replay

    def wait(self):
        pass


class Hours:
    """A clock to read, in seconds, that goes as far as it is told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def toy(kernel="toy", shape=None, times=(2.0, 5.0), **candidates):
    """A case of two calls whose results differ by a tenth, and the clock that says how long they take."""
    ours, torchs = (lambda: torch.full((4,), 1.1)), (lambda: torch.full((4,), 1.0))
    case = Case(2e6, 3e5, {OURS: lambda: ours, EAGER: lambda: torchs, **candidates})
    clock = Clock(lambda call: times[0] if call is ours else times[1])
    return SimpleNamespace(
        planned=Planned(kernel, shape or {"n": 4}, lambda: case), case=case, clock=clock, ours=ours
    )


def rows_of(*planned, clock, **values):
    given = {"roof": ROOF, "budget": Budget(60.0, clock=lambda: 0.0), "rounds": 8, **values}
    return list(run(planned, clock, **given))
