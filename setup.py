"""The distribution of CrossIQA Edge.

Three rooms, ``kernels``, ``export`` and ``bench``, stand at the top of the tree but are imported as
``crossiqa_edge.kernels`` and so on: ``package_dir`` maps them, so that no top-level ``kernels`` or
``bench`` lands on anybody's path. Everything that is not about that mapping is in ``pyproject.toml``.
"""

from setuptools import find_packages, setup

SIBLINGS = ("kernels", "export", "bench")


def sibling_packages(name: str) -> list[str]:
    inner = [f"{name}.{found}" for found in find_packages(name)]
    return [f"crossiqa_edge.{package}" for package in [name, *inner]]


setup(
    packages=find_packages(include=["crossiqa_edge", "crossiqa_edge.*"])
    + [package for name in SIBLINGS for package in sibling_packages(name)],
    package_dir={"": ".", **{f"crossiqa_edge.{name}": name for name in SIBLINGS}},
)
