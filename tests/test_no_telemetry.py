"""Scoring tells nobody: neither runtime leaves an identifier or a queue of reports in the user's home."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# Switch them off, show where they would write, or (CI) keep one of them silent by themselves.
_MEANT = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "CI", "TF_BUILD", "JENKINS_URL")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_fresh_home_stays_empty(backend: str, tiny_onnx: Path, tmp_path: Path) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    picture = Path(__file__).parents[1] / "examples" / "coffee.jpg"
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in _MEANT}
    words = ["score", picture, "--model", tiny_onnx, "--backend", backend]
    subprocess.run(
        [sys.executable, "-m", "crossiqa_edge.cli.main", *map(str, words)],
        env={**environment, "HOME": str(home)},
        check=True,
        capture_output=True,
    )
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []
