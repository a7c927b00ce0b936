"""Breaks the kernels on purpose, one fault at a time, and shows which test sees it.

    python tests/kernels/mutations.py            all faults, a table in Markdown on stdout
    python tests/kernels/mutations.py scale      those whose name contains "scale"

A test that nothing can fail guards nothing. Every fault is put into a copy of the package in a temporary
folder; the tree is never touched. Exit code 1 where a fault goes unseen.
"""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch  # noqa: F401  imported for the forks, like Triton and hypothesis
import triton  # noqa: F401
from faults import FAULTS
from hypothesis import settings

ROOT = Path(__file__).parents[2]
SIBLINGS = ("kernels", "export", "bench")


def copy_package(folder: Path) -> None:
    """The package as a wheel would install it, and the kernels' tests, under ``folder``."""
    leave = shutil.ignore_patterns("__pycache__", "results")
    shutil.copytree(ROOT / "crossiqa_edge", folder / "crossiqa_edge", ignore=leave)
    for name in SIBLINGS:
        shutil.copytree(ROOT / name, folder / "crossiqa_edge" / name, ignore=leave)
    shutil.copytree(ROOT / "tests" / "kernels", folder / "tests", ignore=leave)


class FirstFailure:
    """A plugin of pytest that remembers the first test that fails."""

    name: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid.removeprefix("tests/")


def first_failure(folder: Path, tests: tuple[str, ...]) -> str | None:
    """Name of the first test that fails on the copy, None where all pass.

    They run in a fork of this process, which has imported torch and Triton but nothing of the package.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(_run, folder, tests).result()


def _run(folder: Path, tests: tuple[str, ...]) -> str | None:
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    # As tests/conftest.py has it, which is not copied: else a busy machine would fail tests of sound kernels.
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")
    options = ["-x", "-q", "-p", "no:cacheprovider"]
    options += ["-k", "not 577 and not 1024 and not 1025"]  # long rows take long and see what short ones see
    seen = FirstFailure()
    with (folder / "output.txt").open("w") as output, redirect_stdout(output):
        code = pytest.main([*options, *(f"tests/{name}.py" for name in tests)], [seen])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest did not run: {(folder / 'output.txt').read_text()[-2000:]}")
    return seen.name


def main(words: list[str]) -> int:
    faults = [fault for fault in FAULTS if all(word in fault.name for word in words)]
    unseen = 0
    with TemporaryDirectory(prefix="crossiqa-mutations-") as name:
        folder = Path(name)
        copy_package(folder)
        needed = dict.fromkeys(name for fault in faults for name in fault.tests)
        if failed := first_failure(folder, tuple(needed)):
            raise SystemExit(f"without any fault {failed} fails already")
        print("| fault | seen by |\n|---|---|", flush=True)
        for fault in faults:
            path = folder / "crossiqa_edge" / "kernels" / f"{fault.module}.py"
            sound = path.read_text()
            path.write_text(sound.replace(fault.old, fault.new))
            seen = first_failure(folder, fault.tests)
            path.write_text(sound)
            unseen += seen is None
            print(f"| {fault.name} | {f'`{seen}`' if seen else '**nothing**'} |", flush=True)
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
