"""Engine files: a TensorRT plan behind a header that says what it is and proves who made it.

A plan is native code for one GPU and one version of the library, and nothing in it can be trusted once
somebody else has touched it. So the file is

    magic (8 bytes) | length of the header (uint32, little-endian) | HMAC-SHA256 (32 bytes) | header | plan

The tag covers magic, length and header; the plan is packed (``packed_plan``), and the header, JSON, holds
its size and SHA-256. The tag is checked before a byte of the header is parsed, and the packed plan before a
byte of it is unpacked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.private_files import (
    key_path,
    known_key,
    machine_key,
    read_private,
    read_private_start,
    tag,
)

MAGIC = b"CIQAENG2"
MAX_BYTES = 1 << 30
MAX_HEADER_BYTES = 1 << 20

_FAMILY = MAGIC[:-1]  # of every version
_TAG_BYTES = 32
_PREFIX_BYTES = len(MAGIC) + 4 + _TAG_BYTES
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that decides whether an engine is the one wanted: if any of it differs, another must be built.

    Attributes:
        onnx_sha256: of the ONNX file that it was compiled from.
        runtime: ``tensorrt`` or ``tensorrt-rtx``.
        runtime_version: full version of that library.
        capabilities: GPU architectures it was built for, for instance ``(87,)``.
        device: name of the GPU it was timed on, empty if it was built without one.
        platform: operating system and processor, for instance ``Linux aarch64``.
        profile: least, best and largest batch.
        precision: the card's precision, for instance ``int8``.
        recipe: SHA-256 of all else that was asked of the builder, 64 hex digits.
        toolkit: version of this package.
    """

    onnx_sha256: str
    runtime: str
    runtime_version: str
    capabilities: tuple[int, ...]
    device: str
    platform: str
    profile: tuple[int, int, int]
    precision: str
    recipe: str
    toolkit: str

    @property
    def digest(self) -> str:
        """SHA-256 of the key, 64 hex digits: the engine's name in the cache."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EngineHeader:
    """What an engine file says of itself.

    Attributes:
        key: what it was built from and for.
        card: of the model.
        plan_sha256, packed_size: of the packed plan, in bytes; the hash is what a plan is known by.
        plan_size: of the plan, in bytes.
        stripped: the plan has no weights; they are put back from the ONNX file.
        layers: number of layers by kind and arithmetic, as the builder told them, e.g. ``{"gemm Int8": 26}``.
        built: when, in ISO 8601 with the offset from UTC.
    """

    key: EngineKey
    card: ModelCard
    plan_sha256: str
    packed_size: int
    plan_size: int
    stripped: bool
    built: str
    layers: Mapping[str, int] = field(default_factory=dict)


def pack(header: EngineHeader, packed: bytes, key: bytes | None = None) -> bytes:
    """The bytes of an engine file with the plan ``packed``; ``key`` is the machine's unless given.

    Raises:
        ArtefactError, OutputError: the machine's key cannot be used.
    """
    text = json.dumps({**asdict(header), "card": header.card.to_json()}).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ArtefactError(f"{header.card.name}: the model card is too large for an engine's header")
    prefix = MAGIC + len(text).to_bytes(4, "little")
    return prefix + tag(machine_key() if key is None else key, prefix + text) + text + packed


def is_engine(data: bytes) -> bool:
    """Whether ``data`` begins like an engine file."""
    return data.startswith(_FAMILY)


def read_engine(path: Path, key: bytes | None = None) -> tuple[EngineHeader, bytes]:
    """Header and packed plan of the engine file at ``path``, authenticated.

    Raises:
        ArtefactError: somebody else may have touched the file or its folder, or it is damaged, forged, or
            from another machine.
    """
    return unpack(read_private(path, MAX_BYTES), str(path), key)


def read_header(path: Path, key: bytes | None = None) -> EngineHeader:
    """The header alone, authenticated; what follows it is not read, nor compared with what it says.

    Raises:
        ArtefactError: as ``read_engine``, but for damage of the plan.
    """
    start = read_private_start(path, _PREFIX_BYTES + MAX_HEADER_BYTES)
    return _authentic(_parts(start, str(path)), str(path), key)


def unpack(data: bytes, where: str, key: bytes | None = None) -> tuple[EngineHeader, bytes]:
    """Header and packed plan in the bytes of an engine file; ``where`` names it in error messages.

    Raises:
        ArtefactError: damaged, forged, or authenticated with another key than ``key``, the machine's
            unless given.
    """
    parts = _parts(data, where)
    header = _authentic(parts, where, key)
    packed = parts.packed
    if len(packed) != header.packed_size or hashlib.sha256(packed).hexdigest() != header.plan_sha256:
        raise ArtefactError(f"{where}: the engine's plan is not the one that was built; build it again")
    return header, packed


def may_have_another_key(data: bytes, key: bytes) -> bool:
    """Whether ``data`` has the form of an engine file and is not authenticated with ``key``.

    Nobody but the holder of the other key can tell a sound engine of his from a forged or damaged one.
    """
    try:
        parts = _parts(data, "")
    except ArtefactError:
        return False
    return not _is_authentic(parts, key)


class _Parts(NamedTuple):
    """Of a file: magic and length, the tag, the header, and what follows."""

    start: bytes
    tag: bytes
    text: bytes
    packed: bytes


def _parts(data: bytes, where: str) -> _Parts:
    if not is_engine(data):
        raise ArtefactError(f"{where}: not an engine file of ours; build it with `crossiqa export`")
    if not data.startswith(MAGIC):
        raise ArtefactError(f"{where}: an engine file of another version of this package; build it again")
    start = data[: len(MAGIC) + 4]
    length = int.from_bytes(start[len(MAGIC) :], "little")
    end = _PREFIX_BYTES + length
    if length > MAX_HEADER_BYTES or len(data) < end:
        raise ArtefactError(f"{where}: the engine file is cut off or damaged; build it again")
    return _Parts(start, data[len(start) : _PREFIX_BYTES], data[_PREFIX_BYTES:end], data[end:])


def _is_authentic(parts: _Parts, key: bytes) -> bool:
    return hmac.compare_digest(tag(key, parts.start + parts.text), parts.tag)


def _authentic(parts: _Parts, where: str, key: bytes | None) -> EngineHeader:
    """The header, once its tag is the one that ``key`` makes; reading makes no key where there is none."""
    key = known_key() if key is None else key
    if key is None:
        raise ArtefactError(
            f"{where}: there is no key, {key_path()}, so it was not built here; build it here"
        )
    if not _is_authentic(parts, key):
        raise ArtefactError(
            f"{where}: the engine was built with another machine's key, or under another XDG_CONFIG_HOME, or "
            "changed since; build it again here"
        )
    return _header(parts.text, where)


def _header(text: bytes, where: str) -> EngineHeader:
    """The header in authenticated JSON; checked all the same, since other versions write other headers."""
    try:
        values = json.loads(text)
        card = ModelCard.from_json(values.pop("card"), where)
        key = _checked(EngineKey, values.pop("key"), _KEY_RULES)
        rest = _checked(EngineHeader, {**values, "card": card, "key": EngineKey(**key)}, _HEADER_RULES)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ArtefactError(
            f"{where}: the engine's header is not one that this version writes; build it again"
        ) from error
    return EngineHeader(**rest)


def _checked(kind: type[Any], values: dict[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with lists turned into tuples; ValueError unless they are the attributes of ``kind``."""
    if set(values) != {item.name for item in fields(kind)}:
        raise ValueError("other attributes")
    for name, holds in rules.items():
        if not holds(values[name]):
            raise ValueError(name)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) < 300 and value.isprintable()


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_BYTES


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and len(value) < 50 and all(map(_is_count, value))


_KEY_RULES: Mapping[str, Any] = {
    "onnx_sha256": _is_sha256,
    "runtime": _is_text,
    "runtime_version": _is_text,
    "capabilities": _are_counts,
    "device": _is_text,
    "platform": _is_text,
    "profile": lambda value: _are_counts(value) and len(value) == 3,
    "precision": _is_text,
    "recipe": _is_sha256,
    "toolkit": _is_text,
}
_HEADER_RULES: Mapping[str, Any] = {
    "plan_sha256": _is_sha256,
    "packed_size": _is_count,
    "plan_size": _is_count,
    "stripped": lambda value: isinstance(value, bool),
    "built": _is_text,
    "layers": lambda value: (
        isinstance(value, dict) and all(map(_is_count, value.values())) and len(value) < 200
    ),
}
