"""Running the command line in this process, and as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from crossiqa_edge.cli.main import main

MODULE = [sys.executable, "-m", "crossiqa_edge.cli.main"]


@dataclass
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines of standard error."""
        return self.err.splitlines()


@pytest.fixture
def crossiqa(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """``crossiqa("score", path)`` in this process."""

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as left:
            main([os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in arguments])
        captured = capsys.readouterr()
        return Outcome(int(left.value.code or 0), captured.out, captured.err)

    return run


def _answer_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def process() -> Callable[..., subprocess.Popen[str]]:
    """``process("score", path)`` started as a process of its own, its output in pipes."""

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONUNBUFFERED", None)  # it would hide what happens to buffered output
        # a suite that itself runs in the background has Ctrl-C switched off, and hands that down
        defaults = {"env": environment, "preexec_fn": _answer_ctrl_c, **pipes}
        return subprocess.Popen([*MODULE, *map(str, arguments)], **{**defaults, **options})

    return start
