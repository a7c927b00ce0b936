"""The pack's file: what is written is read, and nothing else is."""

import hashlib
import json

import pytest

from crossiqa_edge.errors import ArtefactError, OutputError
from crossiqa_edge.kernels.manifest import PackedKernel, Use
from crossiqa_edge.kernels.pack import MAGIC, MAX_MANIFEST_BYTES, Pack

HEADER = len(MAGIC) + 8


def packed(code, offset, **values):
    return PackedKernel(
        **{
            "entry": "double_kernel",
            "architecture": 87,
            "parameters": (("x_pointer", "*fp16"), ("rows", "i32")),
            "fixed": (),
            "aligned": (),
            "grid": ((("rows", 16),), (("batch", 1), ("heads", 1))),
            "warps": 4,
            "shared": 1024,
            "registers": 40,
            "stack": 0,
            "instructions": {"mma.sync": 3},
            "constants": {"BLOCK": "256", "mask_pointer": "None"},
            "offset": offset,
            "size": len(code),
            "sha256": hashlib.sha256(code).hexdigest(),
            **values,
        }
    )


@pytest.fixture
def pack():
    codes = [b"first cubin", b"the second"]
    kernels = (packed(codes[0], 0), packed(codes[1], len(codes[0]), architecture=90))
    uses = (Use("double", 87, "fp16", 1, 0, {"rows": 197}), Use("double", 90, "fp16", 1, 1, {"rows": 197}))
    return Pack("nano@0123", "3.8.0", kernels, uses, b"".join(codes))


@pytest.fixture
def data(pack, tmp_path):
    pack.save(tmp_path / "a.pack")
    return (tmp_path / "a.pack").read_bytes()


def with_manifest(data, edit):
    """``data`` with its manifest changed by ``edit(manifest)``, lengths made to fit."""
    length = int.from_bytes(data[len(MAGIC) : HEADER], "little")
    manifest = json.loads(data[HEADER : HEADER + length])
    edit(manifest)
    text = json.dumps(manifest).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + data[HEADER + length :]


def test_what_is_written_is_read(pack, data):
    assert Pack.parse(data) == pack
    assert pack.cubin(pack.kernels[1]) == b"the second"


def test_two_builds_of_the_same_are_the_same_file(pack, data, tmp_path):
    pack.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == data


def test_a_file_cut_anywhere_is_refused(data):
    for end in range(len(data)):
        with pytest.raises(ArtefactError):
            Pack.parse(data[:end])


def test_a_longer_file_is_refused(data):
    with pytest.raises(ArtefactError, match="behind its end"):
        Pack.parse(data + b"x")


def test_changed_code_is_refused(data):
    with pytest.raises(ArtefactError, match="not what was built"):
        Pack.parse(data[:-1] + b"x")


def test_a_manifest_that_claims_to_be_huge_is_not_read(data):
    huge = MAGIC + (MAX_MANIFEST_BYTES + 1).to_bytes(8, "little") + data[HEADER:]
    with pytest.raises(ArtefactError, match="not a kernel pack"):
        Pack.parse(huge)


def test_a_deeply_nested_manifest_is_refused():
    text = b"[" * 100_000
    with pytest.raises(ArtefactError, match="damaged"):
        Pack.parse(MAGIC + len(text).to_bytes(8, "little") + text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["kernels", 0, "grid"], [[["rows", 0]]]),
        (["kernels", 0, "grid"], []),
        (["kernels", 0, "grid"], [[["rows", 1]]] * 4),
        (["kernels", 0, "parameters"], [["x_pointer", "struct"]]),
        (["kernels", 0, "parameters"], [["x_pointer"]]),
        (["kernels", 0, "architecture"], 70),
        (["kernels", 0, "architecture"], True),
        (["kernels", 0, "warps"], 3),
        (["kernels", 0, "shared"], -1),
        (["kernels", 0, "shared"], 1 << 30),
        (["kernels", 0, "sha256"], "0" * 63),
        (["kernels", 0, "sha256"], "0" * 64),
        (["kernels", 0, "entry"], "not a name"),
        (["kernels", 0, "offset"], 1),
        (["kernels", 0, "size"], 0),
        (["kernels", 0, "size"], 1 << 40),
        (["kernels", 0, "instructions"], {"mma.sync": "many"}),
        (["kernels", 0, "constants"], {"BLOCK": 256}),
        (["kernels"], {}),
        (["kernels"], [{}] * 5000),
        (["kernels", 0], []),
        (["uses", 0, "kernel"], 2),
        (["uses", 0, "kernel"], 1),
        (["uses", 0, "dtype"], "fp8"),
        (["uses", 0, "sizes"], {"rows": 1.5}),
        (["kernels", 0, "fixed"], [1]),
        (["uses", 0, "batch"], 0),
        (["model"], "two\nlines"),
        (["surplus"], 1),
    ],
)
def test_manifests_with_a_wrong_value_are_refused(data, path, value):
    def edit(manifest):
        *way, last = path
        for step in way:
            manifest = manifest[step]
        manifest[last] = value

    with pytest.raises(ArtefactError, match="damaged kernel pack"):
        Pack.parse(with_manifest(data, edit))


def test_a_kernel_that_was_not_built_is_named(pack):
    with pytest.raises(ArtefactError, match="no 'double' for sm_87, fp16, batch 8"):
        pack.find("double", architecture=87, dtype="fp16", batch=8)


@pytest.mark.parametrize("name", ["absent.pack", "", "\0"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, name):
    with pytest.raises(ArtefactError, match="cannot be read"):
        Pack.open(tmp_path / name if name != "\0" else name)


def test_a_folder_that_does_not_exist_is_an_output_error(pack, tmp_path):
    with pytest.raises(OutputError):
        pack.save(tmp_path / "absent" / "a.pack")
