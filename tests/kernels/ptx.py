"""What compiled code computes: the float32 arithmetic of PTX, for one thread of a kernel without branches.

The interpreter rounds every operation. A compiler may fuse a product with the sum that it goes into, and then
the product is not rounded: Triton's does so, and so may ptxas wherever PTX says ``mul.f32``. This evaluates
what Triton made, in exact fractions, and can fuse as ptxas may.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import floor, isqrt

_INSTRUCTION = re.compile(r"(?<![.\w])([a-z][\w.]*)[ \t]+([^;\n]+);")
_ADDRESSES = ("ld.param", "mov.u32", "and.b32", "mul.wide", "add.s64")  # which thread stores what where
_INEXACT = 1 + Fraction(1, 1 << 22)  # how wrong a quotient or a root may be that is called approximate


def results(ptx: str, loaded: Sequence[float], *, fused: bool) -> list[float]:
    """What a thread stores, in the order of its stores, if its loads give ``loaded`` in the order of theirs.

    Args:
        fused: whether what a ``mul.f32`` gives goes unrounded into the sums that follow.

    Raises:
        KeyError: an instruction that is not known here.
    """
    registers: dict[str, Fraction] = {}
    unrounded: dict[str, Fraction] = {}
    loads, stored = iter(loaded), []
    for operation, text in _INSTRUCTION.findall(ptx):
        target, *names = (operand.strip(" {}") for operand in text.split(","))
        if operation.startswith(_ADDRESSES):
            continue
        if operation.startswith("ld.global"):
            registers[target] = Fraction(next(loads))
            continue
        sums = operation.startswith(("add.f32", "sub.f32")) and fused
        values = [unrounded[name] if sums and name in unrounded else _read(name, registers) for name in names]
        if operation.startswith("st.global"):
            stored.append(float(values[0]))
            continue
        exact = _OPERATIONS[operation](*values)
        registers[target] = exact if operation in _WHOLE else rounded(exact)
        if operation == "mul.f32":
            unrounded[target] = exact
    return stored


def rounded(exact: Fraction) -> Fraction:
    """The float32 nearest to ``exact``, ties to even."""
    if exact == 0:
        return exact
    exponent = abs(exact.numerator).bit_length() - exact.denominator.bit_length()
    exponent -= abs(exact) < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    return round(exact / unit) * unit


def _read(operand: str, registers: dict[str, Fraction]) -> Fraction:
    if operand.startswith("0f"):
        return _float_of(int(operand[2:], 16))
    return registers[operand] if operand.startswith("%") else Fraction(int(operand, 0))


def _float_of(bits: int) -> Fraction:
    return Fraction(struct.unpack(">f", (bits & 0xFFFFFFFF).to_bytes(4, "big"))[0])


def _root(value: Fraction) -> Fraction:
    return Fraction(isqrt(floor(value * 4**80)), 2**80) * _INEXACT


# Integers are held as such: what reads one as a float32 is ``selp.f32`` alone.
_OPERATIONS: dict[str, Callable[..., Fraction]] = {
    "add.f32": lambda a, b: a + b,
    "sub.f32": lambda a, b: a - b,
    "mul.f32": lambda a, b: a * b,
    "fma.rn.f32": lambda a, b, c: a * b + c,
    "neg.f32": lambda a: -a,
    "max.f32": max,
    "min.f32": min,
    "mov.b32": lambda a: a,
    "div.full.f32": lambda a, b: a / b * _INEXACT,
    "sqrt.approx.ftz.f32": _root,
    "cvt.rmi.ftz.f32.f32": lambda a: Fraction(floor(a)),
    "cvt.rzi.s32.f32": lambda a: Fraction(int(a)),
    "shl.b32": lambda a, b: a * 2**b,
    "add.s32": lambda a, b: a + b,
    "setp.gt.f32": lambda a, b: Fraction(a > b),
    "selp.f32": lambda a, b, chosen: _float_of(int(a)) if chosen else b,
}
_WHOLE = {"shl.b32", "add.s32", "cvt.rzi.s32.f32", "setp.gt.f32"}
