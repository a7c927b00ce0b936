"""Runs the kernels of a pack through the CUDA driver: cuda-python and a driver, no Triton, no torch.

    kernels = Kernels(Pack.open("nano.pack"), dtype="fp16", batch=1)
    kernels.launch("attention", {"qkv_pointer": qkv, "out_pointer": out}, stream)

Pointers are device addresses as integers, from whatever holds the memory. A launch returns at once; memory
must live until the stream has done its work.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from typing import Any

from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError, MissingDependencyError
from crossiqa_edge.kernels.manifest import PackedKernel
from crossiqa_edge.kernels.pack import Pack
from crossiqa_edge.kernels.spec import ALIGNMENT, programs

_FORMATS = {"i32": "<i", "i64": "<q", "fp32": "<f"}  # and 8 bytes for every pointer
_HIDDEN_POINTERS = 2  # Triton's, for scratch memory that no kernel of a pack uses: null
_DEFAULT_SHARED = 48 << 10  # bytes a block may have without asking for more
_THREADS_OF_A_WARP = 32

# How cuLaunchKernel is told where one buffer with all parameters lies (cuda.h, CU_LAUNCH_PARAM_*).
_PARAMETERS_END, _PARAMETERS_BUFFER, _PARAMETERS_SIZE = 0, 1, 2


class Kernels:
    """The kernels of one pack for one workload, loaded into the current CUDA context.

    Args:
        pack: what to run.
        dtype, batch: the workload, which the pack must have been built for.
        driver: ``cuda.bindings.driver``, or what answers in its place.

    Raises:
        ArtefactError: the pack has nothing for this GPU or workload.
        BackendError: the driver failed, or there is no current context.
        MissingDependencyError: cuda-python is not installed.
    """

    def __init__(self, pack: Pack, *, dtype: str, batch: int, driver: Any = None) -> None:
        self._driver = _driver() if driver is None else driver
        self.architecture = self._current_architecture()
        self._modules: dict[int, Any] = {}
        self._functions: dict[int, Any] = {}
        self._uses = {
            use.name: use
            for use in pack.uses
            if (use.architecture, use.dtype, use.batch) == (self.architecture, dtype, batch)
        }
        if not self._uses:
            raise ArtefactError(
                f"the pack has no kernels for sm_{self.architecture}, {dtype}, batch {batch}; "
                "build one with `crossiqa kernels build`"
            )
        self._pack = pack
        for use in self._uses.values():
            self._load(use.kernel)

    @property
    def names(self) -> tuple[str, ...]:
        """What ``launch`` can be asked for."""
        return tuple(self._uses)

    def launch(
        self,
        name: str,
        pointers: Mapping[str, int],
        stream: Any = 0,
        *,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Start one kernel on ``stream``.

        Args:
            name: one of ``names``.
            pointers: device address of each pointer parameter, a multiple of 16.
            stream: a CUDA stream; 0 is the default one.
            sizes: numbers that differ from those that the pack was built for, for instance ``rows``, but not
                ``tokens``, for which attention was compiled.

        Raises:
            ConfigError: unknown ``name``, pointers missing or misaligned, sizes that are not, or are fixed.
            BackendError: the driver refused the launch.
        """
        if name not in self._uses:
            raise ConfigError(f"the pack has no kernel {name!r}; it has {', '.join(self._uses)}")
        use = self._uses[name]
        kernel = self._pack.kernels[use.kernel]
        numbers = {**use.sizes, **(sizes or {})}
        for size in kernel.fixed:
            if numbers.get(size) != use.sizes.get(size):
                raise ConfigError(f"{name} was compiled for {size} = {use.sizes.get(size)} alone")
        buffer = parameter_buffer(kernel, pointers, numbers)
        grid = programs(kernel.grid, numbers)
        block = (_THREADS_OF_A_WARP * kernel.warps, 1, 1)
        memory = ctypes.create_string_buffer(buffer, len(buffer))
        length = ctypes.c_size_t(len(buffer))
        extra = (ctypes.c_void_p * 5)(
            *(_PARAMETERS_BUFFER, ctypes.addressof(memory)),
            *(_PARAMETERS_SIZE, ctypes.addressof(length)),
            _PARAMETERS_END,
        )
        function = self._functions[use.kernel]
        self._call(
            "cuLaunchKernel", function, *grid, *block, kernel.shared, stream, 0, ctypes.addressof(extra)
        )

    def close(self) -> None:
        """Unload the code; the stream must have done its work."""
        self._functions.clear()
        while self._modules:
            self._call("cuModuleUnload", self._modules.popitem()[1])

    def _load(self, number: int) -> None:
        if number in self._functions:
            return
        kernel = self._pack.kernels[number]
        self._modules[number] = module = self._loaded(kernel)
        function = self._call("cuModuleGetFunction", module, kernel.entry.encode())
        if kernel.shared > _DEFAULT_SHARED:
            attribute = self._driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._call("cuFuncSetAttribute", function, attribute, kernel.shared)
        self._functions[number] = function

    def _loaded(self, kernel: PackedKernel) -> Any:
        try:
            return self._call("cuModuleLoadData", self._pack.cubin(kernel))
        except BackendError as error:
            version = int(self._call("cuDriverGetVersion"))
            raise BackendError(
                f"{error}; this driver is CUDA {version // 1000}.{version % 1000 // 10}'s, and code for "
                "sm_100 and later, as CUDA 13's assembler makes it, needs that one's: update the driver"
            ) from error

    def _current_architecture(self) -> int:
        attribute = self._driver.CUdevice_attribute
        device = self._call("cuCtxGetDevice")
        major = self._call(
            "cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device
        )
        minor = self._call(
            "cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device
        )
        return 10 * int(major) + int(minor)

    def _call(self, name: str, *arguments: Any) -> Any:
        """The result of a driver function; BackendError where it does not return success."""
        try:
            code, *results = getattr(self._driver, name)(*arguments)
        except RuntimeError as error:  # cuda-python finds no driver on this machine
            raise BackendError(f"the CUDA driver is not there: {error}") from error
        if int(code) != 0:
            raise BackendError(f"the CUDA driver's {name} failed: {getattr(code, 'name', code)}")
        return results[0] if results else None


def parameter_buffer(
    kernel: PackedKernel, pointers: Mapping[str, int], numbers: Mapping[str, int | float]
) -> bytes:
    """The parameters of ``kernel`` as the device reads them: in order, each at a multiple of its own size.

    Raises:
        ConfigError: a value is missing, unknown or out of range, or not aligned as was promised.
    """
    known = {name for name, kind in kernel.parameters if kind.startswith("*")}
    if known != set(pointers):
        raise ConfigError(f"{kernel.entry} takes pointers {sorted(known)}, not {sorted(pointers)}")
    buffer = bytearray()
    for name, kind in kernel.parameters:
        value = pointers[name] if kind.startswith("*") else numbers.get(name)
        if value is None:
            raise ConfigError(f"{kernel.entry} needs a number for {name!r}")
        if (kind.startswith("*") or name in kernel.aligned) and value % ALIGNMENT:
            raise ConfigError(f"{kernel.entry}: {name} must be a multiple of {ALIGNMENT}, not {value}")
        _append(buffer, _FORMATS.get(kind, "<Q"), value, name)
    for _ in range(_HIDDEN_POINTERS):
        _append(buffer, "<Q", 0, "scratch")
    return bytes(buffer)


def _append(buffer: bytearray, layout: str, value: int | float, name: str) -> None:
    buffer += bytes(-len(buffer) % struct.calcsize(layout))
    try:
        buffer += struct.pack(layout, value)
    except struct.error as error:
        raise ConfigError(f"{name} = {value} does not fit its parameter ({error})") from error


def _driver() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise MissingDependencyError("launching packed kernels", "cuda") from error
    return driver
