"""What a kernel pack says of its kernels, and the checks that its text must pass before it is believed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from crossiqa_edge.kernels.spec import Grid
from crossiqa_edge.kernels.targets import TARGETS

MAX_ITEMS = 4096  # kernels, or uses, of one pack: twenty times what nine targets need
MAX_NUMBER = 1 << 31  # no size, grid or offset of ours comes near it

_DTYPES = ("fp16", "bf16", "fp32")
_WORD = re.compile(r"[A-Za-z_][\w.]{0,99}")
_PARAMETER_TYPE = re.compile(r"\*[a-z]+\d*|i32|i64|fp32")


@dataclass(frozen=True)
class PackedKernel:
    """One compiled kernel.

    Attributes:
        entry: name of the function inside the cubin.
        architecture: compute capability that the cubin is for.
        parameters: (name, Triton type) of what a launch passes, in order; Triton's two pointers follow.
        fixed: sizes that must be those of the use.
        aligned: integer parameters that must be multiples of 16.
        grid: rule of the launch grid (see ``crossiqa_edge.kernels.spec``).
        warps: of 32 threads a block.
        shared: dynamic shared memory a block, in bytes.
        registers: a thread.
        stack: bytes of local memory a thread, which is where spilled registers go.
        instructions: how often the telling PTX instructions occur (``crossiqa_edge.kernels.assembly``).
        constants: what was fixed at compile time, the tile included; text for people.
        offset, size: where its cubin lies among the cubins, in bytes.
        sha256: of its cubin.
    """

    entry: str
    architecture: int
    parameters: tuple[tuple[str, str], ...]
    fixed: tuple[str, ...]
    aligned: tuple[str, ...]
    grid: Grid
    warps: int
    shared: int
    registers: int
    stack: int
    instructions: Mapping[str, int]
    constants: Mapping[str, str]
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Use:
    """What a model does with a kernel: kernel number ``kernel`` is its ``name`` at this workload.

    ``sizes`` are the numbers that the launch passes and that the grid's rule names.
    """

    name: str
    architecture: int
    dtype: str
    batch: int
    kernel: int
    sizes: Mapping[str, int]


def read_manifest(value: Any) -> tuple[str, str, tuple[PackedKernel, ...], tuple[Use, ...]]:
    """(model, triton, kernels, uses) of a parsed manifest; ValueError names what is wrong in it."""
    top = _checked(value, "manifest", _PACK)
    kernels = tuple(_kernel(item) for item in top["kernels"])
    uses = tuple(Use(**_checked(item, "use", _USE)) for item in top["uses"])
    for use in uses:
        if use.kernel >= len(kernels) or kernels[use.kernel].architecture != use.architecture:
            raise ValueError(f"no kernel for {use.name!r}")
    return top["model"], top["triton"], kernels, uses


def _kernel(item: Any) -> PackedKernel:
    values = _checked(item, "kernel", _KERNEL)
    values["parameters"] = tuple((name, kind) for name, kind in values["parameters"])
    values["fixed"], values["aligned"] = tuple(values["fixed"]), tuple(values["aligned"])
    values["grid"] = tuple(tuple((size, block) for size, block in axis) for axis in values["grid"])
    return PackedKernel(**values)


def _checked(item: Any, what: str, rules: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any]:
    if not isinstance(item, dict) or item.keys() != rules.keys():
        raise ValueError(f"a {what} without the fields it should have")
    for key, value in item.items():
        if not rules[key](value):
            raise ValueError(f"a {what} with a bad {key!r}")
    return dict(item)


def _whole(least: int, most: int = MAX_NUMBER) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 200 and value.isprintable()


def _list_of(rule: Callable[[Any], bool], most: int, least: int = 0) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(rule, value))


def _table_of(key: Callable[[Any], bool], rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict)
        and len(value) <= 100
        and all(key(name) and rule(item) for name, item in value.items())
    )


def _pair(first: Callable[[Any], bool], second: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) == 2 and first(value[0]) and second(value[1])


def _parameter_type(value: Any) -> bool:
    return isinstance(value, str) and _PARAMETER_TYPE.fullmatch(value) is not None


_PACK: dict[str, Callable[[Any], bool]] = {
    "model": _text,
    "triton": _text,
    "kernels": lambda value: isinstance(value, list) and len(value) <= MAX_ITEMS,
    "uses": lambda value: isinstance(value, list) and len(value) <= MAX_ITEMS,
}
_KERNEL: dict[str, Callable[[Any], bool]] = {
    "entry": _word,
    "architecture": lambda value: type(value) is int and value in TARGETS,
    "parameters": _list_of(_pair(_word, _parameter_type), most=64),
    "fixed": _list_of(_word, most=64),
    "aligned": _list_of(_word, most=64),
    "grid": _list_of(_list_of(_pair(_word, _whole(1)), most=4, least=1), most=3, least=1),
    "warps": lambda value: type(value) is int and value in (1, 2, 4, 8, 16, 32),
    "shared": _whole(0, 1 << 20),
    "registers": _whole(0, 255),
    "stack": _whole(0),
    "instructions": _table_of(_text, _whole(0)),
    "constants": _table_of(_word, _text),
    "offset": _whole(0),
    "size": _whole(1),
    "sha256": lambda value: isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None,
}
_USE: dict[str, Callable[[Any], bool]] = {
    "name": _word,
    "architecture": _whole(1, 999),
    "dtype": lambda value: value in _DTYPES,
    "batch": _whole(1),
    "kernel": _whole(0),
    "sizes": _table_of(_word, _whole(0)),
}
