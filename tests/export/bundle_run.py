"""Running what is in a bundle, in a process that has nothing else but third-party packages."""

import os
import subprocess
import sys
from pathlib import Path

import numpy

_RUN_SCRIPT = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    found = sys.modules.get("crossiqa_edge")
    print(found and found.__file__, "torch" in sys.modules, file=sys.stderr)
"""


def python(folder, code, *arguments, path=()):
    """Run ``code`` in the bundle without this checkout: with third-party packages, but no site files.

    -S leaves out what installed packages do at start, such as finding an editable installation.
    """
    packages = str(Path(numpy.__file__).parents[1])
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent / "home"),
        "PYTHONPATH": os.pathsep.join([*path, packages]),
    }
    return subprocess.run(
        [sys.executable, "-S", "-B", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=120,
    )


def on_device(folder, script, *arguments):
    """Run a script of the bundle; at the end it says where the package came from, and if torch was there."""
    return python(folder, _RUN_SCRIPT, script, *arguments)


def bare(folder, script):
    """Run a script of the bundle without any third-party packages."""
    return subprocess.run(
        [sys.executable, "-S", "-E", "-B", script], capture_output=True, text=True, cwd=folder, timeout=120
    )
