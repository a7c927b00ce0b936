"""Files of one's own: what others could have touched is refused, on the open descriptor."""

import os
import stat
import subprocess
import sys
import tracemalloc

import pytest

from crossiqa_edge.errors import ArtefactError, OutputError
from crossiqa_edge.runtime.private_files import known_key, machine_key, private_folder, read_private


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    path = folder / "file"
    path.write_bytes(b"content")
    path.chmod(0o600)
    return path


def test_reads_a_file_of_ones_own(own, monkeypatch):
    assert read_private(own, 100) == b"content"
    monkeypatch.chdir(own.parent)
    assert read_private(own.relative_to(own.parent), 7) == b"content"


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o755, 0o777, 0o1700, 0o500])
def test_refuses_a_folder_of_another_mode(own, mode):
    own.parent.chmod(mode)
    with pytest.raises(ArtefactError, match="chmod 700"):
        read_private(own, 100)
    own.parent.chmod(0o700)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602])
def test_refuses_a_file_that_others_can_use(own, mode):
    own.chmod(mode)
    with pytest.raises(ArtefactError, match="chmod 600"):
        read_private(own, 100)


@pytest.mark.parametrize("is_kind", [stat.S_ISDIR, stat.S_ISREG], ids=["folder", "file"])
def test_refuses_what_belongs_to_somebody_else(own, monkeypatch, is_kind):
    real = os.fstat

    def owned_by_another(descriptor):
        found = list(real(descriptor))
        found[stat.ST_UID] += is_kind(found[stat.ST_MODE])
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", owned_by_another)
    with pytest.raises(ArtefactError, match="belongs to somebody else"):
        read_private(own, 100)


def test_refuses_links_fifos_folders_and_absent_files(own):
    link = own.with_name("link")
    link.symlink_to(own)
    fifo = own.with_name("fifo")
    os.mkfifo(fifo, 0o600)  # must not block either
    folder = own.with_name("folder")
    folder.mkdir()
    absent = own.with_name("absent")
    for path, words in ((link, "a link"), (fifo, "regular"), (folder, "regular"), (absent, "no such")):
        with pytest.raises(ArtefactError, match=words):
            read_private(path, 100)


def test_refuses_a_link_as_the_folder_only_by_what_it_points_to(own, tmp_path):
    """A linked folder is judged by its own owner and mode: that is the one whose entries are read."""
    alias = tmp_path / "alias"
    alias.symlink_to(own.parent)
    assert read_private(alias / "file", 100) == b"content"
    own.parent.chmod(0o755)
    with pytest.raises(ArtefactError, match="chmod 700"):
        read_private(alias / "file", 100)


def test_refuses_more_than_was_allowed(own):
    with pytest.raises(ArtefactError, match="larger"):
        read_private(own, 6)


def test_what_is_too_large_is_not_read_to_find_out(own):
    os.truncate(own, 1 << 30)  # a hole, no blocks
    tracemalloc.start()
    with pytest.raises(ArtefactError, match="larger than 64 MiB"):
        read_private(own, 64 << 20)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


def test_a_folder_is_made_for_its_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        folder = private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert private_folder(folder) == folder
    folder.chmod(0o750)
    with pytest.raises(OutputError, match="chmod 700"):
        private_folder(folder)


def test_a_folder_that_cannot_be_made_is_an_error(own):
    with pytest.raises(OutputError, match="cannot be made"):
        private_folder(own / "below-a-file")


def test_the_key_is_made_once_and_kept_to_oneself(tmp_path):
    path = tmp_path / "config" / "engine.key"
    key = machine_key(path)
    assert machine_key(path) == key
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["engine.key"]


def test_asking_for_a_key_that_nobody_made_makes_none(tmp_path):
    path = tmp_path / "config" / "engine.key"
    assert known_key(path) is None
    assert not path.parent.exists()
    made = machine_key(path)
    assert known_key(path) == made
    path.parent.chmod(0o755)
    with pytest.raises(ArtefactError, match="chmod 700"):
        known_key(path)


def test_a_key_of_another_length_or_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "config" / "engine.key"
    machine_key(path)
    path.chmod(0o644)
    with pytest.raises(ArtefactError, match="chmod 600"):
        machine_key(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ArtefactError, match="5 bytes, not 32"):
        machine_key(path)


def test_processes_that_come_at_once_agree_on_the_key(tmp_path):
    code = (
        "import sys; from pathlib import Path; from crossiqa_edge.runtime.private_files import machine_key; "
        "sys.stdin.read(1); print(machine_key(Path(sys.argv[1])).hex())"
    )
    path = tmp_path / "config" / "engine.key"
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in processes:  # all are at the gate, or will be; open it
        process.stdin.write("x")
        process.stdin.flush()
    keys = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(keys) == 1
    assert keys == {path.read_bytes().hex()}
