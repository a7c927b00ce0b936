"""``crossiqa engines``: reasons in words, and nothing removed that could still be used."""

import json
import os

import pytest
from engine_files import engine_bytes, engine_key

from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.devices import Device


@pytest.fixture(autouse=True)
def orin(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(devices, "device", lambda: Device("Orin", 87))
    monkeypatch.setattr(devices, "runtime_version", lambda name: "1.7.1.116")


def put(**changes):
    key = engine_key(**changes)
    return engine_cache.obtain(key, lambda: engine_bytes(key=key))


@pytest.fixture
def three():
    """One engine that fits, one of another library version, one that somebody touched."""
    touched = put(recipe="e" * 64)
    touched.write_bytes(touched.read_bytes() + b"!")
    return {"fits": put(), "old": put(runtime_version="1.6.0"), "touched": touched}


def test_list_of_nothing_names_the_folder(crossiqa):
    done = crossiqa("engines", "list")
    assert (done.code, done.out) == (0, "")
    assert str(engine_cache.cache_folder()) in done.err


def test_list_says_what_each_is_for_and_why_it_is_of_no_use(crossiqa, three):
    out = crossiqa("engines", "list").out
    assert out.count("\n") == 4
    assert "usable" in out
    assert "built for tensorrt-rtx 1.6.0; this machine has tensorrt-rtx 1.7.1.116: will rebuild" in out
    assert "not the one that was built" in out
    assert "sm_87" in out


def test_list_as_json_has_the_whole_header(crossiqa, three):
    records = {record["path"]: record for record in json.loads(crossiqa("engines", "list", "--json").out)}
    fits = records[str(three["fits"])]
    assert fits["obstacle"] is None
    assert fits["header"]["key"]["capabilities"] == [87]
    assert fits["header"]["layers"] == {"gemm Half": 11}
    assert records[str(three["touched"])]["header"] is None


def test_verify_fails_if_any_cannot_be_used(crossiqa, three):
    done = crossiqa("engines", "verify")
    assert done.code == 1
    assert f"{three['fits']}: sound, made for this machine" in done.out
    assert done.complaints == ["crossiqa: 1 of 3 engines can be used here"]
    crossiqa("engines", "prune")
    assert crossiqa("engines", "verify").code == 0


def test_verify_notices_a_folder_that_others_may_enter(crossiqa):
    put()
    engine_cache.cache_folder().chmod(0o755)
    done = crossiqa("engines", "verify")
    assert done.code == 1
    assert "chmod 700" in done.out


def test_prune_removes_what_will_never_be_loaded_again(crossiqa, three):
    assert "would free" in crossiqa("engines", "prune", "--dry-run").err
    assert all(path.exists() for path in three.values())
    done = crossiqa("engines", "prune")
    assert [path.exists() for path in three.values()] == [True, False, False]
    assert str(three["old"]) in done.out
    assert "2 engines" in done.err


def test_prune_keeps_what_only_lacks_a_gpu(crossiqa, three, monkeypatch):
    monkeypatch.setattr(devices, "device", lambda: None)
    crossiqa("engines", "prune")
    assert three["fits"].exists()


def test_prune_all_removes_everything(crossiqa, three):
    crossiqa("engines", "prune", "--all")
    assert not any(path.exists() for path in three.values())


def test_prune_goes_on_where_one_cannot_be_removed(crossiqa, three):
    folder = three["fits"].with_name("folder.engine")
    folder.mkdir()
    os.utime(folder, (2e9, 2e9))  # the newest, and so the first to go
    done = crossiqa("engines", "prune", "--all")
    assert done.code == 1
    assert f"{folder}: not removed" in done.err
    assert "freed 0.0 MiB, 3 engines" in done.err
    assert str(folder) not in done.out
    assert not any(path.exists() for path in three.values())


def test_prune_leaves_what_only_lacks_access_rights(crossiqa):
    path = put()
    for place, wrong, right in ((path, 0o644, 0o600), (path.parent, 0o755, 0o700)):
        place.chmod(wrong)
        done = crossiqa("engines", "prune")
        place.chmod(right)
        assert path.exists()
        assert done.complaints == [
            "crossiqa: freed 0.0 MiB, 0 engines",
            "crossiqa: 1 stay that could not be judged; `crossiqa engines list` says why",
        ]


def test_prune_refuses_where_the_key_cannot_be_read(crossiqa, three, tmp_path):
    (tmp_path / "config" / "crossiqa").chmod(0o755)
    done = crossiqa("engines", "prune")
    assert done.code == 2
    assert "run: chmod 700" in done.err
    assert all(path.exists() for path in three.values())


@pytest.mark.parametrize("verb", ["list", "verify", "prune"])
def test_without_a_key_nothing_is_removed_and_none_is_made(crossiqa, three, tmp_path, monkeypatch, verb):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    done = crossiqa("engines", verb)
    assert "there is no key" in done.out + done.err
    assert all(path.exists() for path in three.values())
    assert not (tmp_path / "other").exists()


def test_prune_leaves_what_may_be_sound_under_another_key(crossiqa, three, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    mine = put(recipe="f" * 64)
    done = crossiqa("engines", "prune")
    assert all(path.exists() for path in (mine, *three.values()))
    assert "3 stay" in done.err
    crossiqa("engines", "prune", "--all")
    assert not any(path.exists() for path in (mine, *three.values()))
