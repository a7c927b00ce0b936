"""Arrays in GPU memory, known by the CUDA array interface, and the way to main memory.

Of a tensor of PyTorch or CuPy, or what a decoder has left on the GPU, no more is asked than
``__cuda_array_interface__``: https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html

The work that makes an array may still be running when it is handed over, and our own streams wait for
nobody else's. Since version 3 an array names the stream to wait for, or says ``None``: it is done. Others
say nothing, PyTorch's tensors (version 2) among them: for those the whole device is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from crossiqa_edge.errors import BackendError, InputError
from crossiqa_edge.runtime.cuda import Bytes, Cuda, CudaRuntime

ANY_STREAM = -1  # no CUDA stream has this handle

_UINT8 = ("|u1", "<u1")
_NAMES_STREAMS = 3  # the first version of the interface that does


class OnDevice(Protocol):
    """Anything that lies in GPU memory and says so."""

    @property
    def __cuda_array_interface__(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """Where an array lies in GPU memory.

    Attributes:
        address: of its first element.
        shape: of at least one dimension.
        typestr: the type of an element, as NumPy writes it.
        strides: bytes from one element to the next along each axis.
        stream: that it is still being made on; None where it is done, ``ANY_STREAM`` where it does not say.
    """

    address: int
    shape: tuple[int, ...]
    typestr: str
    strides: tuple[int, ...]
    stream: int | None

    @property
    def is_uint8(self) -> bool:
        return self.typestr in _UINT8

    @property
    def contiguous(self) -> bool:
        """Whether its bytes lie one after the other; only of ``is_uint8``."""
        return self.strides == _packed(self.shape)

    def __str__(self) -> str:
        return f"{self.typestr} {self.shape}"


def device_array(thing: object) -> DeviceArray | None:
    """Where ``thing`` lies in GPU memory; None if it does not say so."""
    found: Mapping[str, Any] | None = getattr(thing, "__cuda_array_interface__", None)
    if found is None:
        return None
    shape = tuple(map(int, found["shape"]))
    given = found.get("strides")
    strides = _packed(shape) if given is None else tuple(map(int, given))
    return DeviceArray(int(found["data"][0]), shape, str(found["typestr"]), strides, _stream(found))


def wait_until_made(cuda: Cuda, stream: int | None) -> None:
    """Return once what is being made on ``stream``, as ``DeviceArray`` has it, can be read by any stream."""
    if stream == ANY_STREAM:
        cuda.synchronise_device()
    elif stream is not None:
        cuda.synchronise(stream)


class DeviceReader:
    """Copies arrays out of GPU memory, through one buffer that is page-locked and grows to the largest."""

    def __init__(self, cuda: Cuda | None = None) -> None:
        """``cuda`` is the device; by default the one that CUDA would use.

        Raises:
            BackendError: there is none.
            MissingDependencyError: without the ``cuda`` extra.
        """
        self._cuda = cuda or CudaRuntime()
        self._stream = self._cuda.stream()
        self._buffer: Bytes = np.empty(0, np.uint8)

    def fetch(self, array: DeviceArray | OnDevice) -> npt.NDArray[np.uint8]:
        """``array`` in main memory, once it is made; overwritten by the next call.

        Args:
            array: uint8 with packed rows, which may lie apart, as those of pictures often do.

        Raises:
            InputError: not such an array.
            BackendError: the device failed.
        """
        found = array if isinstance(array, DeviceArray) else device_array(array)
        if found is None or not (found.is_uint8 and found.shape and all(found.shape)):
            raise InputError(f"an array in GPU memory is uint8 and not empty, this is {found or type(array)}")
        pitch, row = found.strides[0], prod(found.shape[1:])
        if found.strides[1:] != _packed(found.shape)[1:] or pitch < row:
            raise InputError("rows of an array in GPU memory must be packed; call .contiguous() first")
        size = pitch * (found.shape[0] - 1) + row
        if size > len(self._buffer):
            self._buffer = self._cuda.pinned(size)
        self._copy(found, size)
        return np.ndarray(found.shape, np.uint8, self._buffer, strides=found.strides)

    def close(self) -> None:
        """Give back the buffer; arrays that were fetched are no longer valid."""
        with suppress(BackendError):
            self._cuda.synchronise(self._stream)
        self._buffer = np.empty(0, np.uint8)
        self._cuda.close()

    def _copy(self, found: DeviceArray, size: int) -> None:
        wait_until_made(self._cuda, found.stream)
        self._cuda.copy(self._buffer.ctypes.data, found.address, size, self._stream)
        self._cuda.synchronise(self._stream)


def _stream(interface: Mapping[str, Any]) -> int | None:
    if interface.get("version", 0) < _NAMES_STREAMS or "stream" not in interface:
        return ANY_STREAM
    stream: int | None = interface["stream"]
    return stream


def _packed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of single bytes that lie one after the other."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
