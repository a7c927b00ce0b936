"""Kernel tests need torch and Triton; without them the whole folder is skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="kernels need the train extra")
pytest.importorskip("triton", reason="kernels need Triton, which exists for Linux only")


@pytest.fixture
def interpret() -> Iterator[None]:
    """For the length of the test, launching a kernel runs it in the interpreter; see ``interpreter.py``."""
    from interpreter import interpreted

    with interpreted():
        yield
