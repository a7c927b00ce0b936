"""What the machine is, from samples of what real systems say."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from crossiqa_edge.errors import OutputError
from crossiqa_edge.machine import cpu_model, home, instruction_sets, nvidia_gpu_seen, this_machine
from crossiqa_edge.runtime import engine_cache, speeds
from crossiqa_edge.runtime.private_files import known_key, machine_key

SERVER = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni avx_vnni amx_tile amx_int8 amx_bf16

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu sse2
"""
RASPBERRY = """processor\t: 0
Features\t: fp asimd evtstrm crc32 cpuid asimdrdm asimdhp asimddp
CPU implementer\t: 0x41

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
ORIN = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\n"


def test_processor_names() -> None:
    assert cpu_model(SERVER) == "Intel(R) Xeon(R) Platinum 8480+"
    assert cpu_model(RASPBERRY) == "Raspberry Pi 5 Model B Rev 1.0"
    assert cpu_model(ORIN) is None
    assert cpu_model("") is None


def test_instruction_sets_under_the_names_people_know() -> None:
    assert instruction_sets(SERVER) == ("AVX2", "AVX-512", "AVX-VNNI", "AVX-512 VNNI", "AMX INT8", "AMX BF16")
    assert instruction_sets(RASPBERRY) == ("NEON", "dot product")
    assert instruction_sets("") == ()


def test_this_machine_is_told_without_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    machine = this_machine()
    assert machine.gpus == ()
    assert machine.cpu
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.memory_gib is None or machine.memory_gib > 0.1


def test_cores_are_those_that_may_be_used_and_memory_is_in_binary_units(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 3, 5}, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2 << 20}.get)
    machine = this_machine()
    assert (machine.cores, machine.memory_gib) == (3, 8.0)


@pytest.mark.parametrize("file", ["/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg", None])
def test_a_gpu_is_seen_by_its_driver_a_jetsons_or_that_of_windows(
    monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == file)
    assert nvidia_gpu_seen() is (file is not None)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("script", "gpus"),
    [
        ("echo 'NVIDIA Orin, 16 GiB, 540.4, 8.7'", ("NVIDIA Orin, 16 GiB, 540.4, 8.7",)),
        ("echo 'NVIDIA-SMI has failed'; exit 9", ()),
        ("sleep 30", ()),
    ],
    ids=["one GPU", "no driver", "hangs"],
)
def test_nvidia_smi_is_asked_but_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, gpus: tuple[str, ...]
) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("crossiqa_edge.machine._PATIENCE", 0.5)
    start = time.monotonic()
    assert this_machine().gpus == gpus
    assert time.monotonic() - start < 10


def test_who_has_no_home_has_no_cache_and_no_key_and_is_told_where_one_is_needed(monkeypatch):
    """A process under a number that no user has, in an empty environment."""

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert not home().is_dir()
    assert not speeds.cache_file().exists()
    assert engine_cache.entries() == []
    assert known_key() is None
    with pytest.raises(OutputError, match="cannot be made"):
        machine_key()
