"""Kernels compiled ahead of time, for GPUs that this machine does not have."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from crossiqa_edge.errors import BackendError, ConfigError, MissingDependencyError
from crossiqa_edge.kernels.assembly import HIDDEN_PARAMETERS, Assembly, inspect
from crossiqa_edge.kernels.manifest import PackedKernel, Use
from crossiqa_edge.kernels.pack import Pack
from crossiqa_edge.kernels.spec import ALIGNMENT, KernelSpec, Workload
from crossiqa_edge.kernels.targets import TARGETS, Target, compile_options

_THREADS_OF_A_WARP = 32
_PTX_TYPES = {"i32": "u32", "i64": "u64", "fp32": "f32"}  # and u64 for every pointer


@dataclass(frozen=True)
class Compiled:
    """One kernel for one target.

    Attributes:
        spec, target: what was compiled, and for what.
        entry: name of the function inside ``cubin``.
        ptx, cubin: the code.
        warps: of a block; where Triton specialises warps, more than the spec asked for.
        shared: bytes of dynamic shared memory a block.
        assembly: what the compiler made of it.
    """

    spec: KernelSpec
    target: Target
    entry: str
    ptx: str
    cubin: bytes
    warps: int
    shared: int
    assembly: Assembly


def compile_kernel(spec: KernelSpec, target: Target) -> Compiled:
    """Compile ``spec`` for ``target``; 0.1 to 3 seconds, or nothing where Triton's cache has it.

    Raises:
        ConfigError: the spec does not name the function's parameters, or Triton interprets here.
        BackendError: Triton cannot compile it, or gave an entry that the loader could not launch.
        MissingDependencyError: Triton is not installed.
    """
    try:
        import triton
        from triton import knobs
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource
    except ImportError as error:
        raise MissingDependencyError("compiling kernels", "train") from error
    _check_spec(spec)
    source = ASTSource(spec.function, _signature(spec), dict(spec.constants), _hints(spec))
    options = compile_options(target.architecture, spec.warps, spec.stages, alone=spec.alone)
    if target.ptx_version is not None:
        options["ptx_version"] = target.ptx_version
    with knobs.compilation.scope():
        knobs.compilation.disable_line_info = True  # it would name this machine's folders in every cubin
        try:
            made = triton.compile(
                source,
                target=GPUTarget("cuda", target.architecture, _THREADS_OF_A_WARP),
                options=options,
            )
        except Exception as error:  # Triton's errors have no base class but this
            reason = " ".join(str(error).split())[:300]
            raise BackendError(f"{spec.name} for {target.name}: Triton failed: {reason}") from error
    assembly = inspect(made.asm["ptx"], made.asm["cubin"])
    _check_launchable(spec, target, assembly, made.metadata)
    return Compiled(
        spec=spec,
        target=target,
        entry=made.metadata.name,
        ptx=made.asm["ptx"],
        cubin=made.asm["cubin"],
        warps=made.metadata.num_warps,
        shared=made.metadata.shared,
        assembly=assembly,
    )


def build_pack(
    model: str,
    workloads: Iterable[Workload],
    specs: Callable[[Workload], Iterable[KernelSpec]],
    progress: Callable[[Compiled], object] = lambda compiled: None,
) -> Pack:
    """Compile what ``specs`` gives for all ``workloads``; forms that several share are compiled once.

    Args:
        model: identity of the model, for people.
        progress: is told of each kernel when it has been compiled.

    Raises:
        as ``compile_kernel``.
    """
    import triton

    numbers: dict[Any, int] = {}
    kernels: list[PackedKernel] = []
    uses: list[Use] = []
    cubins = bytearray()
    for workload in workloads:
        for spec in specs(workload):
            key = _identity(spec, workload.architecture)
            if key not in numbers:
                compiled = compile_kernel(spec, TARGETS[workload.architecture])
                progress(compiled)
                numbers[key] = len(kernels)
                kernels.append(_packed(compiled, len(cubins)))
                cubins += compiled.cubin
            uses.append(
                Use(
                    spec.name,
                    workload.architecture,
                    workload.dtype,
                    workload.batch,
                    numbers[key],
                    dict(spec.sizes),
                )
            )
    return Pack(model, triton.__version__, tuple(kernels), tuple(uses), bytes(cubins))


def _packed(compiled: Compiled, offset: int) -> PackedKernel:
    spec, assembly = compiled.spec, compiled.assembly
    return PackedKernel(
        entry=compiled.entry,
        architecture=compiled.target.architecture,
        parameters=spec.parameters,
        fixed=spec.fixed,
        aligned=spec.aligned,
        grid=spec.grid,
        warps=compiled.warps,
        shared=compiled.shared,
        registers=assembly.registers,
        stack=assembly.stack,
        instructions=assembly.instructions,
        constants={name: str(value) for name, value in spec.constants.items()},
        offset=offset,
        size=len(compiled.cubin),
        sha256=hashlib.sha256(compiled.cubin).hexdigest(),
    )


def _identity(spec: KernelSpec, architecture: int) -> object:
    """Equal for two specs that compile to the same code and are launched alike."""
    return (
        id(spec.function),
        architecture,
        spec.parameters,
        tuple(spec.constants.items()),
        spec.fixed,
        spec.aligned,
        spec.grid,
        spec.warps,
        spec.stages,
        spec.alone,
    )


def _check_spec(spec: KernelSpec) -> None:
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise ConfigError("TRITON_INTERPRET=1 interprets kernels; unset it to compile them")
    known, runtime, fixed = spec.function.arg_names, set(spec.signature), set(spec.constants)
    odd = ((runtime | fixed) ^ set(known)) | (runtime & fixed)
    if odd:
        raise ConfigError(f"{spec.name}: signature and constants must name {sorted(odd)} once between them")
    if [name for name in known if name in runtime] != list(spec.signature):
        raise ConfigError(f"{spec.name}: the signature is not in the order of the function's parameters")
    needed = {size for axis in spec.grid for size, _ in axis}
    needed |= {name for name, kind in spec.parameters if not kind.startswith("*")}
    if needed - set(spec.sizes):
        raise ConfigError(f"{spec.name}: no size is given for {sorted(needed - set(spec.sizes))}")


def _signature(spec: KernelSpec) -> dict[str, str]:
    return {name: spec.signature.get(name, "constexpr") for name in spec.function.arg_names}


def _hints(spec: KernelSpec) -> dict[tuple[int], list[list[object]]]:
    """The promise that pointers, and the integers in ``aligned``, are multiples of 16."""
    return {
        (position,): [["tt.divisibility", ALIGNMENT]]
        for position, name in enumerate(spec.function.arg_names)
        if spec.signature.get(name, "").startswith("*") or name in spec.aligned
    }


def _check_launchable(spec: KernelSpec, target: Target, assembly: Assembly, metadata: Any) -> None:
    """BackendError unless the entry takes just what the loader will pass."""
    expected = [_PTX_TYPES.get(kind, "u64") for _, kind in spec.parameters] + ["u64"] * len(HIDDEN_PARAMETERS)
    where = f"{spec.name} for {target.name}"
    if list(assembly.parameters) != expected:
        raise BackendError(f"{where}: the entry takes {assembly.parameters}, the loader passes {expected}")
    if metadata.global_scratch_size or metadata.profile_scratch_size:
        raise BackendError(f"{where}: it needs scratch memory in global memory, which the loader has not")
    if metadata.num_ctas != 1:
        raise BackendError(f"{where}: it runs in clusters of {metadata.num_ctas} blocks; the loader has none")
