"""Progress and signals: every item passes through, a bar is drawn only where a person watches, a run ends."""

from __future__ import annotations

import io
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from crossiqa_edge.cli.console import (
    MANY,
    complain,
    ended_by_sigterm,
    print_table,
    stopped_by_signals,
    track,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error as a terminal; called in the test, for pytest sets the stream anew before it."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_a_pipe_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(track(range(100), "scoring", 100)) == list(range(100))
    assert isinstance(sys.stderr, io.StringIO) and sys.stderr.getvalue() == ""


def test_few_items_get_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    assert len(list(track(range(MANY - 1), "scoring", MANY - 1))) == MANY - 1
    assert terminal.getvalue() == ""


def test_a_terminal_gets_a_bar_that_lets_complaints_through(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    for item in track(range(20), "scoring", 20):
        if item == 7:
            complain("x.png: damaged")
    assert "scoring" in terminal.getvalue() and "20/20" in terminal.getvalue()
    assert "crossiqa: x.png: damaged" in terminal.getvalue()


def test_stopping_early_gives_the_terminal_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    with pytest.raises(KeyboardInterrupt), closing(track(range(20), "scoring", 20)) as items:
        next(items)
        assert sys.stderr is not terminal
        raise KeyboardInterrupt
    assert sys.stderr is terminal
    assert "\x1b[?25h" in terminal.getvalue(), "the cursor is shown again"


def test_a_second_signal_does_not_wait_for_the_work_to_end() -> None:
    stops: list[str] = []
    with pytest.raises(KeyboardInterrupt), stopped_by_signals(lambda: stops.append("asked")) as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.came
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the work went on")
    assert stops == ["asked"]


def test_beside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work() -> str:
        with ended_by_sigterm(), stopped_by_signals(lambda: None) as interruption:
            assert signal.getsignal(signal.SIGTERM) is before
            return "done" if not interruption.came else "interrupted"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == "done"


class Gone(io.StringIO):
    """A pipe whose reader has gone."""

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_message_that_is_lost_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    complain("x.png: damaged")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    complain("x.png: damaged")


def test_a_table_whose_reader_has_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        print_table("x", 80)
