"""The cache: what is found, what is not and why, and that one process builds while another waits."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_files import engine_bytes, engine_key

from crossiqa_edge.errors import ArtefactError, OutputError
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.private_files import machine_key

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def orin(monkeypatch):
    """A machine with the GPU and the library that ``engine_key`` is for."""
    monkeypatch.setattr(devices, "device", lambda: Device("Orin", 87))
    monkeypatch.setattr(devices, "runtime_version", lambda name: "1.7.1.116")


def put(name="one", data=None, **changes):
    path = engine_cache.cache_folder() / f"{name}.engine"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(engine_bytes(**changes) if data is None else data)
    path.chmod(0o600)
    return path


def test_an_empty_or_absent_cache_has_no_entries():
    assert engine_cache.entries() == []
    entry, why = engine_cache.find("a" * 64, "tensorrt-rtx")
    assert entry is None
    assert "has been built" in why


def test_a_cache_that_cannot_be_looked_into_is_an_error_only_to_who_lists_it(tmp_path):
    """As under another user's HOME; a name that is too long is refused to root as well."""
    closed = tmp_path / ("x" * 300)
    with pytest.raises(ArtefactError, match=r"x: cannot be looked into \(File name too long\); mend its"):
        engine_cache.entries(closed)
    assert engine_cache.plans("a" * 64, closed) == []
    entry, why = engine_cache.find("a" * 64, "tensorrt-rtx", closed)
    assert entry is None
    assert "cannot be looked into" in why


def test_an_engine_for_this_machine_is_found(orin):
    path = put()
    entry, why = engine_cache.find("a" * 64, "tensorrt-rtx")
    assert (entry.path, entry.obstacle, why, entry.stale) == (path, None, "", False)


def test_an_engine_of_another_model_or_runtime_is_not_found(orin):
    put()
    assert engine_cache.find("c" * 64, "tensorrt-rtx")[0] is None
    assert engine_cache.find("a" * 64, "tensorrt")[0] is None


def test_the_newest_of_several_is_found(orin):
    for age, name in enumerate(("new", "old")):
        path = put(name)
        os.utime(path, (time.time() - 100 * age,) * 2)
    assert engine_cache.find("a" * 64, "tensorrt-rtx")[0].path.stem == "new"


def test_a_forged_engine_is_not_found_and_says_so(orin):
    machine_key()
    path = put(data=engine_bytes(bytes(32)))
    assert engine_cache.find("a" * 64, "tensorrt-rtx")[0] is None
    (entry,) = engine_cache.entries()
    assert entry.header is None
    assert not entry.stale  # it may be sound, and its owner's key come back
    assert "another machine's key" in entry.obstacle
    assert str(path) not in entry.obstacle  # the list shows it beside


def test_reasons_are_in_words(monkeypatch):
    monkeypatch.setattr(devices, "device", lambda: Device("Thor", 110))
    monkeypatch.setattr(devices, "runtime_version", lambda name: "11.4.1")
    key = engine_key(runtime="tensorrt", runtime_version="10.3.0")
    assert engine_cache.obstacle(key) == (
        "built for sm_87, tensorrt 10.3.0; this machine has sm_110, tensorrt 11.4.1: will rebuild"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"runtime_version": "1.6.0"},
            "built for tensorrt-rtx 1.6.0; this machine has tensorrt-rtx 1.7.1.116",
        ),
        ({"capabilities": (80, 86)}, "built for sm_80 sm_86; this machine has sm_87"),
        ({"device": "Orin Nano"}, "built for Orin Nano; this machine has Orin"),
        ({"platform": "Linux riscv64"}, "built for Linux riscv64; this machine has"),
        ({"toolkit": "0.0.1"}, "built for crossiqa-edge 0.0.1; this machine has"),
    ],
)
def test_each_difference_is_named_alone(orin, change, words):
    text = engine_cache.obstacle(engine_key(**change))
    assert words in text
    assert text.endswith(": will rebuild")
    assert text.count(",") == 0


def test_an_engine_of_a_library_that_is_not_here_waits_for_it(orin, monkeypatch):
    """It may be in another of the user's environments, which share the cache."""
    put("other", key=engine_key(runtime="unheard-of"))
    (entry,) = engine_cache.entries()
    assert entry.obstacle.endswith("this machine has no unheard-of: cannot run here")
    assert not entry.stale
    put()
    monkeypatch.setattr(devices, "runtime_version", lambda name: None)
    assert [entry.stale for entry in engine_cache.entries()] == [False, False]


def test_an_engine_of_another_version_or_gpu_is_stale(orin, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    put("version", key=engine_key(runtime_version="1.6.0"))
    put("architecture", key=engine_key(capabilities=(86,)))
    put("name", key=engine_key(device="Orin Nano"))
    assert all(entry.stale for entry in engine_cache.entries())


@pytest.mark.parametrize("change", [{"capabilities": (86,)}, {"device": "Orin Nano"}])
def test_an_engine_for_a_gpu_that_may_be_hidden_is_not_stale(orin, monkeypatch, change):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    put(key=engine_key(**change))
    (entry,) = engine_cache.entries()
    assert entry.obstacle.endswith("will rebuild")
    assert not entry.stale


def _share_keys_folder(path):
    (path.parents[3] / "config" / "crossiqa").chmod(0o755)


HINDRANCES = {
    "the key's folder is shared": _share_keys_folder,
    "the folder is shared": lambda path: path.parent.chmod(0o755),
    "the file is shared": lambda path: path.chmod(0o644),
}


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_rights_that_forbid_to_look_make_no_engine_stale(orin, hindrance):
    HINDRANCES[hindrance](put())
    (entry,) = engine_cache.entries()
    assert (entry.header, entry.stale) == (None, False)
    assert "run: chmod" in entry.obstacle
    why = engine_cache.find("a" * 64, "tensorrt-rtx")[1]
    assert "cannot be looked into (`crossiqa engines list`)" in why


def test_looking_under_another_configuration_makes_no_key_there(orin, tmp_path, monkeypatch):
    put()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    (entry,) = engine_cache.entries()
    assert not entry.stale
    assert f"there is no key, {tmp_path}/other/crossiqa/engine.key" in entry.obstacle
    assert engine_cache.find("a" * 64, "tensorrt-rtx")[0] is None
    assert engine_cache.plans("a" * 64) == []
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:60], lambda data: b"!" + data])
def test_what_is_damaged_under_any_key_is_stale(orin, damage):
    put(data=damage(engine_bytes()))
    (entry,) = engine_cache.entries()
    assert (entry.header, entry.stale) == (None, True)


def test_the_plans_of_a_model_are_told_the_newest_first_and_no_others():
    ours = engine_key(onnx_sha256="c" * 64)
    for age, (name, plan) in enumerate({"old": "1", "new": "2"}.items()):
        path = put(name, key=ours, plan_sha256=plan * 64)
        os.utime(path, (time.time() - 100 + age,) * 2)
    put("other")
    put("forged", data=engine_bytes(bytes(32), key=ours))
    assert engine_cache.plans("c" * 64) == ["2" * 64, "1" * 64]


def test_an_engine_without_a_device_name_fits_any_of_its_architecture(orin):
    """Built ahead of time, for several architectures and without a GPU."""
    assert engine_cache.obstacle(engine_key(device="", capabilities=(75, 87))) is None


def test_without_a_gpu_an_engine_is_idle_but_not_stale(monkeypatch):
    monkeypatch.setattr(devices, "device", lambda: None)
    monkeypatch.setattr(devices, "runtime_version", lambda name: "1.7.1.116")
    put()
    (entry,) = engine_cache.entries()
    assert entry.obstacle == "built for sm_87; this machine has no GPU: cannot run here"
    assert not entry.stale


def test_obtain_builds_once_and_leaves_only_the_engine():
    builds = []

    def build():
        builds.append(1)
        return engine_bytes()

    for _ in range(2):
        path = engine_cache.obtain(engine_key(), build)
    assert builds == [1]
    assert path.stem == engine_key().digest
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(item.name for item in path.parent.iterdir()) == [".lock", path.name]


def test_obtain_builds_over_a_damaged_engine():
    path = engine_cache.obtain(engine_key(), engine_bytes)
    path.write_bytes(path.read_bytes()[:-1])
    engine_cache.obtain(engine_key(), engine_bytes)
    assert path.read_bytes() == engine_bytes()


def test_a_build_that_fails_leaves_nothing_and_frees_the_lock():
    def fail():
        raise OutputError("no room")

    with pytest.raises(OutputError, match="no room"):
        engine_cache.obtain(engine_key(), fail)
    assert engine_cache.entries() == []
    assert engine_cache.obtain(engine_key(), engine_bytes).exists()


def test_obtain_refuses_a_folder_that_others_may_enter():
    engine_cache.cache_folder().mkdir(parents=True, mode=0o755)
    engine_cache.cache_folder().chmod(0o755)
    with pytest.raises(OutputError, match="chmod 700"):
        engine_cache.obtain(engine_key(), engine_bytes)


_PROCESS = """
import sys
sys.path[:0] = sys.argv[1:2]
from engine_files import engine_bytes, engine_key
from crossiqa_edge.runtime import engine_cache

def build():
    print("building", flush=True)
    sys.stdin.read(1)
    return engine_bytes()

engine_cache.obtain(engine_key(), build, waiting=lambda: print("waiting", flush=True))
print("done", flush=True)
"""


def process():
    command = [sys.executable, "-c", _PROCESS, str(TESTS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_builds_and_the_other_waits():
    first = process()
    assert first.stdout.readline() == "building\n"
    second = process()
    assert second.stdout.readline() == "waiting\n"
    first.stdin.write("x")
    first.stdin.flush()
    assert first.communicate(timeout=60)[0] == "done\n"
    assert second.communicate(timeout=60)[0] == "done\n"  # and never "building"


def test_when_the_builder_dies_the_waiting_one_builds():
    first = process()
    assert first.stdout.readline() == "building\n"
    second = process()
    assert second.stdout.readline() == "waiting\n"
    first.kill()
    first.communicate(timeout=60)
    assert second.stdout.readline() == "building\n"
    second.stdin.write("x")
    second.stdin.flush()
    assert second.communicate(timeout=60)[0] == "done\n"
    (entry,) = engine_cache.entries()
    assert entry.header is not None


def test_timings_come_back_and_damage_is_only_slower():
    assert engine_cache.timings("tensorrt") is None
    engine_cache.keep_timings("tensorrt", b"timed")
    assert engine_cache.timings("tensorrt") == b"timed"
    (path,) = engine_cache.cache_folder().glob("*.timings")
    path.chmod(0o666)
    assert engine_cache.timings("tensorrt") is None


def test_removing_twice_is_no_error(orin):
    put()
    (entry,) = engine_cache.entries()
    engine_cache.remove(entry)
    engine_cache.remove(entry)
    assert engine_cache.entries() == []


def test_what_awaits_its_verdict_is_taken_up_by_the_next_but_found_by_nobody(orin):
    key = engine_key()
    first = engine_cache.obtain(key, engine_bytes, awaiting=True)
    assert engine_cache.obtain(key, lambda: pytest.fail("built again"), awaiting=True) == first
    entry, why = engine_cache.find(key.onnx_sha256, key.runtime)
    assert (entry, why) == (None, "not compared with the original yet: export it again")
    assert engine_cache.entries()[0].stale
    kept = engine_cache.keep(key, engine_bytes())
    assert [found.path for found in engine_cache.entries()] == [kept]
    assert engine_cache.obtain(key, lambda: pytest.fail("built again"), awaiting=True) == kept
