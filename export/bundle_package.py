"""The part of this package that travels in a bundle: what scores, verifies and builds, and needs no torch."""

from __future__ import annotations

import shutil
from pathlib import Path

import crossiqa_edge
from crossiqa_edge import weights

_ROOMS = ("imaging", "report", "runtime", "video", "cli")
# `crossiqa verify` degrades pictures and correlates ranks; the rest of these two rooms is about training.
_FOR_VERIFYING = (
    *("data/__init__.py", "data/fidelity.py", "data/degradations"),
    *("training/__init__.py", "training/metrics.py", "training/logistic.py"),
)
_NAMES = "weights/__init__.py"  # the module that knows the shipped models, without the models


def copy_package(target: Path) -> None:
    """Make the folder ``target``, the package ``crossiqa_edge`` of a bundle; links become what they name."""
    home = Path(crossiqa_edge.__file__).parent
    target.mkdir(parents=True)
    for path in (*home.glob("*.py"), home / "py.typed"):
        shutil.copyfile(path, target / path.name)
    _copy(Path(__file__).parent, target / "export")
    for name in (*_ROOMS, *_FOR_VERIFYING):
        _copy(home / name, target / name)
    _copy(Path(weights.__file__), target / _NAMES)


def _copy(origin: Path, target: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(origin, target)
