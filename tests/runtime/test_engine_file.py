"""Engine files: what was packed comes back, and nothing that was touched since does."""

import json
from dataclasses import replace

import pytest
from engine_files import KEY, PACKED, engine_bytes, engine_header, engine_key

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime import engine_file
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.engine_file import MAGIC, pack, unpack
from crossiqa_edge.runtime.private_files import tag

HEAD = len(engine_bytes(KEY)) - len(PACKED)  # prefix, tag and header


def forged(text):
    """An engine file with any header at all, correctly authenticated."""
    prefix = MAGIC + len(text).to_bytes(4, "little")
    return prefix + tag(KEY, prefix + text) + text + PACKED


def test_what_was_packed_comes_back():
    header, packed = unpack(engine_bytes(KEY), "x.engine", KEY)
    assert header == engine_header()
    assert packed == PACKED


def test_every_flipped_byte_of_the_header_is_noticed():
    data = engine_bytes(KEY)
    for position in range(HEAD):
        touched = bytearray(data)
        touched[position] ^= 0x01
        with pytest.raises(ArtefactError, match=r"^x\.engine: "):
            unpack(bytes(touched), "x.engine", KEY)


def test_every_cut_is_noticed():
    data = engine_bytes(KEY)
    for length in (*range(HEAD), HEAD, len(data) - 1):
        with pytest.raises(ArtefactError, match=r"^x\.engine: "):
            unpack(data[:length], "x.engine", KEY)


@pytest.mark.parametrize("position", [0, len(PACKED) // 2, len(PACKED) - 1])
def test_a_touched_plan_is_noticed(position):
    data = bytearray(engine_bytes(KEY))
    data[HEAD + position] ^= 0x80
    with pytest.raises(ArtefactError, match="not the one that was built"):
        unpack(bytes(data), "x.engine", KEY)


def test_a_longer_plan_is_noticed():
    with pytest.raises(ArtefactError, match="not the one that was built"):
        unpack(engine_bytes(KEY) + b"!", "x.engine", KEY)


def test_another_machines_engine_is_refused():
    with pytest.raises(ArtefactError, match="another machine's key"):
        unpack(engine_bytes(KEY), "x.engine", b"\1" * 32)


def test_an_engine_of_another_version_is_told_from_what_is_none():
    data = bytearray(engine_bytes(KEY))
    data[len(MAGIC) - 1] ^= 3
    with pytest.raises(ArtefactError, match="of another version of this package; build it again"):
        unpack(bytes(data), "x.engine", KEY)
    with pytest.raises(ArtefactError, match="not an engine file of ours"):
        unpack(b"ciqaeng2" + bytes(data[8:]), "x.engine", KEY)


def test_a_header_that_announces_more_than_its_bound_is_not_read():
    data = MAGIC + (engine_file.MAX_HEADER_BYTES + 1).to_bytes(4, "little") + bytes(1 << 21)
    with pytest.raises(ArtefactError, match="cut off or damaged"):
        unpack(data, "x.engine", KEY)


def test_authenticated_nonsense_is_a_clear_error():
    for text in (b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"key": 1, "card": "{}"}'):
        with pytest.raises(ArtefactError, match=r"^x\.engine: "):
            unpack(forged(text), "x.engine", KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("onnx_sha256", "A" * 64),
        ("runtime", 7),
        ("capabilities", ["87"]),
        ("capabilities", [True]),
        ("profile", [1, 8]),
        ("device", "line\nbreak"),
        ("recipe", "../../etc"),
    ],
)
def test_a_key_with_a_bad_value_is_refused(name, value):
    data = engine_bytes(KEY)
    values = json.loads(data[44:HEAD])
    unpack(forged(json.dumps(values).encode()), "x.engine", KEY)  # this one is sound
    values["key"][name] = value
    with pytest.raises(ArtefactError, match="not one that this version writes"):
        unpack(forged(json.dumps(values).encode()), "x.engine", KEY)


@pytest.mark.parametrize("change", ["extra", "missing"])
def test_a_header_with_other_attributes_is_refused(change):
    values = json.loads(engine_bytes(KEY)[44:HEAD])
    if change == "extra":
        values["__class__"] = "os.system"
    else:
        del values["stripped"]
    with pytest.raises(ArtefactError, match="not one that this version writes"):
        unpack(forged(json.dumps(values).encode()), "x.engine", KEY)


def test_a_card_too_large_for_a_header_is_refused():
    card = replace(engine_header().card, recipe={"text": "x" * engine_file.MAX_HEADER_BYTES})
    with pytest.raises(ArtefactError, match="too large"):
        pack(engine_header(card=card), PACKED, KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"onnx_sha256": "c" * 64},
        {"runtime": "tensorrt"},
        {"runtime_version": "1.7.1.117"},
        {"capabilities": (87, 89)},
        {"device": "Thor"},
        {"platform": "Linux riscv64"},
        {"profile": (1, 8, 16)},
        {"precision": "int8"},
        {"recipe": "d" * 64},
        {"toolkit": "0.0.0"},
    ],
)
def test_whatever_differs_gives_another_engine(change):
    assert engine_key(**change).digest != engine_key().digest


class TestArtefact:
    """An engine is an artefact too, but only from a folder of one's own."""

    @pytest.fixture(autouse=True)
    def own_key(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    @pytest.fixture
    def path(self, tmp_path):
        folder = tmp_path / "engines"
        folder.mkdir(mode=0o700)
        path = folder / "any.name"
        path.write_bytes(engine_bytes())
        path.chmod(0o600)
        return path

    def test_is_known_by_its_content(self, path):
        artefact = Artefact.open(path)
        assert (artefact.kind, artefact.card) == ("engine", engine_header().card)
        assert artefact.read() == path.read_bytes()

    def test_is_refused_from_a_folder_that_others_may_enter(self, path):
        path.parent.chmod(0o755)
        with pytest.raises(ArtefactError, match="others may enter the folder"):
            Artefact.open(path)

    def test_is_refused_without_a_key_and_none_is_made_for_it(self, path, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
        with pytest.raises(ArtefactError, match="there is no key"):
            Artefact.open(path)
        assert not (tmp_path / "other").exists()

    def test_its_header_can_be_read_alone(self, path):
        path.write_bytes(path.read_bytes()[: -len(PACKED)])
        assert engine_file.read_header(path) == engine_header()
        data = bytearray(path.read_bytes())
        data[HEAD - 1] ^= 1
        path.write_bytes(data)
        with pytest.raises(ArtefactError, match="changed since"):
            engine_file.read_header(path)

    def test_is_refused_through_a_link(self, path):
        link = path.with_name("link.engine")
        link.symlink_to(path)
        with pytest.raises(ArtefactError, match="a link"):
            Artefact.open(link)

    def test_is_refused_once_touched(self, path):
        artefact = Artefact.open(path)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ArtefactError, match="changed"):
            artefact.read()
        with pytest.raises(ArtefactError, match="not the one that was built"):
            Artefact.open(path)
