"""A plan as it lies in an engine file: compressed, in the format of ``xz``.

A plan of TensorRT for RTX 1.7 holds the source text of its kernels beside the weights, each with the same
long beginning. For a small int8 model that is most of it, and it packs to a fifth.
"""

from __future__ import annotations

from types import ModuleType

from crossiqa_edge.errors import ArtefactError, BackendError

_MOST_MEMORY = 64 << 20  # of the decoder, in bytes; what ``compress`` makes needs 9 MiB


def check() -> None:
    """Ask before minutes of building whether what was built can be packed.

    Raises:
        BackendError: Python was built without ``lzma``.
    """
    _lzma()


def compress(plan: bytes) -> bytes:
    """``plan``, packed; some seconds for each 10 MB of weights that do not shrink.

    Raises:
        BackendError: Python was built without ``lzma``.
    """
    return bytes(_lzma().compress(plan))


def expand(packed: bytes, size: int, where: str) -> bytes:
    """The plan of ``size`` bytes in ``packed``; never more than these are made.

    Args:
        packed: what ``compress`` gave.
        size: of the plan, in bytes.
        where: names the engine in the error message.

    Raises:
        ArtefactError: it is not a plan of that size.
        BackendError: Python was built without ``lzma``.
    """
    lzma = _lzma()
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)
    try:
        plan = bytes(decoder.decompress(packed, size + 1))  # room for one more, or its end is not looked for
    except lzma.LZMAError as error:
        raise ArtefactError(f"{where}: the plan does not unpack ({error}); build it again") from error
    if len(plan) != size or not decoder.eof or decoder.unused_data:
        raise ArtefactError(f"{where}: the engine's plan is not of the size it says; build it again")
    return plan


def _lzma() -> ModuleType:
    try:
        import lzma
    except ImportError as error:  # Python compiled where liblzma's headers were missing
        raise BackendError(
            "engines need Python's lzma module, and this Python was built without it; "
            "install liblzma-dev and build it again, or take the system's python3"
        ) from error
    return lzma
