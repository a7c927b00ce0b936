"""The nine GPU generations that kernels are built for, and what each of them allows."""

from __future__ import annotations

from dataclasses import dataclass

from crossiqa_edge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Target:
    """One compute capability.

    Attributes:
        architecture: compute capability as one number, 87 for 8.7.
        boards: what people know it by.
        shared_limit: bytes of shared memory that one thread block may use, by opt-in ("Technical
            Specifications per Compute Capability" in the CUDA C++ Programming Guide).
        ptx_version: newest PTX ISA that the oldest driver of these boards reads, None where it does not
            matter. JetPack 6 has CUDA 12.6, whose driver reads PTX up to 8.5.
        async_copy: whether global memory is copied to shared memory without passing registers (cp.async).
        matrix_instruction: how PTX names the tensor cores' product, None on Turing, where Triton multiplies
            on ordinary cores: a 64 x 64 tile spills there, so tiles for it are small.
        int8_dot: whether Triton multiplies int8 with int8; see ``integer_product.py`` for where it does not.
    """

    architecture: int
    boards: str
    shared_limit: int
    async_copy: bool = True
    matrix_instruction: str | None = "mma.sync"
    int8_dot: bool = True
    ptx_version: int | None = None

    @property
    def name(self) -> str:
        return f"sm_{self.architecture}"


TARGETS = {
    target.architecture: target
    for target in (
        Target(75, "T4, RTX 20", 64 << 10, async_copy=False, matrix_instruction=None, int8_dot=False),
        Target(80, "A100, A30", 163 << 10),
        Target(86, "A10, A40, RTX 30", 99 << 10),
        Target(87, "Jetson Orin", 163 << 10, ptx_version=85),
        Target(89, "L4, L40, RTX 40", 99 << 10),
        Target(90, "H100, H200", 227 << 10, matrix_instruction="wgmma.mma_async"),
        Target(100, "B200", 227 << 10, matrix_instruction="tcgen05.mma"),
        Target(110, "Jetson Thor", 227 << 10, matrix_instruction="tcgen05.mma"),
        Target(120, "RTX 50, RTX PRO Blackwell", 99 << 10),
    )
}

_THREADS_OF_A_WARP = 32
_REGISTERS = 1 << 16  # of a multiprocessor, of every target
_MOST_REGISTERS = 255  # that an instruction can name


def target_of(architecture: int) -> Target:
    """The target of a compute capability; an unlisted one counts as the listed one below it."""
    below = [target for number, target in sorted(TARGETS.items()) if number <= architecture]
    return (below or [TARGETS[75]])[-1]


def compile_options(architecture: int, warps: int, stages: int = 1, *, alone: bool = False) -> dict[str, int]:
    """What Triton is told beside a kernel's parameters, at a launch and ahead of time alike.

    For kernels that use tensor memory (tcgen05) ptxas guesses a limit of registers of its own (80 for
    attention, which needs 109) and spills; it does not once it is told how many there are. Elsewhere it may
    spill a few so that more programs share a multiprocessor: one that is ``alone`` there has no use for that.
    """
    options = {"num_warps": warps, "num_stages": stages}
    if alone or target_of(architecture).matrix_instruction == "tcgen05.mma":
        options["maxnreg"] = min(_MOST_REGISTERS, _REGISTERS // (_THREADS_OF_A_WARP * warps))
    return options


def target_named(name: str) -> Target:
    """The target called ``name``, for instance ``sm_87``; ConfigError where there is none."""
    for target in TARGETS.values():
        if target.name == name:
            return target
    known = ", ".join(target.name for target in TARGETS.values())
    raise ConfigError(f"unknown target {name!r}; choose from {known}")
