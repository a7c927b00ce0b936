"""``Pack``: one file with compiled kernels for several GPUs, and all that launching them takes.

Layout: 8 bytes ``CIQAKRN1``; the manifest's length, little-endian uint64; the manifest, a JSON object; the
cubins, one behind the other. Cubins are native code: trust a pack as you would a program. The reader
bounds everything and checks hashes all the same, so that damage is found here and not on the GPU.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from crossiqa_edge.atomic import atomic_write
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.kernels.manifest import PackedKernel, Use, read_manifest

MAGIC = b"CIQAKRN1"
MAX_BYTES = 256 << 20
MAX_MANIFEST_BYTES = 4 << 20


@dataclass(frozen=True)
class Pack:
    """A pack that was built, or read and found sound.

    Attributes:
        model: identity of the model it was built for.
        triton: version that compiled it.
        kernels: every compiled kernel, once.
        uses: which kernel serves which name at which workload.
        cubins: native code of all ``kernels``, in their order, without gaps.
    """

    model: str
    triton: str
    kernels: tuple[PackedKernel, ...]
    uses: tuple[Use, ...]
    cubins: bytes

    def cubin(self, kernel: PackedKernel) -> bytes:
        """The native code of one of ``kernels``."""
        return self.cubins[kernel.offset : kernel.offset + kernel.size]

    def find(self, name: str, *, architecture: int, dtype: str, batch: int) -> tuple[PackedKernel, Use]:
        """The kernel for ``name`` at this workload, and its use.

        Raises:
            ArtefactError: the pack has none.
        """
        wanted = (name, architecture, dtype, batch)
        for use in self.uses:
            if (use.name, use.architecture, use.dtype, use.batch) == wanted:
                return self.kernels[use.kernel], use
        raise ArtefactError(
            f"the pack has no {name!r} for sm_{architecture}, {dtype}, batch {batch}; "
            "build it again with `crossiqa kernels build`"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pack, whole or not at all; OutputError where that fails."""
        manifest = {name: value for name, value in vars(self).items() if name in ("model", "triton")}
        manifest["kernels"] = [asdict(kernel) for kernel in self.kernels]
        manifest["uses"] = [asdict(use) for use in self.uses]
        text = json.dumps(manifest, sort_keys=True).encode()
        with atomic_write(path) as stream:
            stream.write(MAGIC + len(text).to_bytes(8, "little") + text + self.cubins)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Pack:
        """Read and check the pack at ``path``; ArtefactError where it is missing, damaged or none."""
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: a name with a null character
            raise ArtefactError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from error
        return cls.parse(data, str(path))

    @classmethod
    def parse(cls, data: bytes, where: str = "kernel pack") -> Pack:
        """The same for the bytes of a file; ``where`` names it in error messages."""
        start = len(MAGIC) + 8
        length = int.from_bytes(data[len(MAGIC) : start], "little")
        if len(data) > MAX_BYTES or not data.startswith(MAGIC) or length > MAX_MANIFEST_BYTES:
            raise ArtefactError(f"{where}: not a kernel pack; make one with `crossiqa kernels build`")
        try:
            pack = cls(*read_manifest(json.loads(data[start : start + length])), data[start + length :])
            pack.check()
        except (ValueError, RecursionError) as error:
            raise ArtefactError(f"{where}: a damaged kernel pack ({error}); build it again") from error
        return pack

    def check(self) -> None:
        """ValueError unless the cubins fill the file without gaps and are those that were hashed."""
        end = 0
        for kernel in self.kernels:
            if kernel.offset != end:
                raise ValueError(f"a gap before {kernel.entry!r}")
            end += kernel.size
            if hashlib.sha256(self.cubin(kernel)).hexdigest() != kernel.sha256:
                raise ValueError(f"the code of {kernel.entry!r} is not what was built")
        if end != len(self.cubins):
            raise ValueError("cut short, or something behind its end")
