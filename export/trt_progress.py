"""The builder's nested phases, folded into one share that only grows: what a progress bar needs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from crossiqa_edge.export.targets import Progress

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class Phases:
    """Keeps the stack of phases. TensorRT may call from several threads, one phase tree at a time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._steps: dict[str, tuple[str | None, int, int]] = {}  # phase -> (parent, steps, steps done)
        self._share = 0.0
        self.interrupted = False

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        self._steps[phase] = (parent if parent in self._steps else None, max(steps, 1), 0)
        if self._steps[phase][0] is None:
            self._share = 0.0  # a new tree: building has several, one after another
        self._tell(phase)

    def step(self, phase: str, step: int) -> bool:
        """Note that ``step`` (from 0) is done; False ends the build, as after Ctrl-C."""
        parent, steps, _ = self._steps.get(phase, (None, step + 1, 0))
        self._steps[phase] = (parent, steps, min(step + 1, steps))
        self._tell(phase)
        return not self.interrupted

    def finish(self, phase: str) -> None:
        if phase in self._steps:
            parent, steps, _ = self._steps[phase]
            self._steps[phase] = (parent, steps, steps)
            self._tell(phase)
            del self._steps[phase]

    def _tell(self, phase: str) -> None:
        share, name = 0.0, phase
        root: str | None = phase
        while root is not None:
            name = root
            parent, steps, done = self._steps[root]
            # What a child has done counts within the step that its parent is at.
            share = min((done + share) / steps, 1.0) if root != phase else done / steps
            root = parent if parent in self._steps else None
        self._share = max(self._share, share)
        try:
            self._progress(f"TensorRT: {name}", self._share)
        except KeyboardInterrupt:  # must not fly through native code: it is raised again after the build
            self.interrupted = True


@contextmanager
def interruptible(phases: Phases) -> Iterator[None]:
    """Inside, a signal that would raise an exception is noted in ``phases``: the build ends at its next step.

    Raised at once, the exception would fly through whichever Python the builder is in, such as its log, and
    native code would drop it there and build on.

    Raises:
        KeyboardInterrupt: at the end, if there was one, whatever the build came to.
    """

    def note(number: int, frame: object) -> None:
        phases.interrupted = True

    apart = threading.current_thread() is not threading.main_thread()  # where signals never arrive
    handlers = {} if apart else {number: signal.getsignal(number) for number in _INTERRUPTS}
    raising = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in raising:
            signal.signal(number, note)
        yield
    except Exception:
        if not phases.interrupted:
            raise
    finally:
        for number, handler in raising.items():
            signal.signal(number, handler)
    if phases.interrupted:
        raise KeyboardInterrupt


def monitor(api: ModuleType, phases: Phases) -> Any:
    """``phases`` as the ``IProgressMonitor`` of the library ``api``, whose class is not known before."""

    class Monitor(api.IProgressMonitor):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return phases.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()
