"""``crossiqa kernels``: a pack is built, listed, and refused where it is none."""

import pytest

pytest.importorskip("triton", reason="compiling kernels needs Triton")

from crossiqa_edge.kernels import catalogue
from crossiqa_edge.kernels.pack import Pack


@pytest.fixture(autouse=True)
def one_quick_kernel(tmp_path, monkeypatch):
    """The real catalogue without all but its quickest kernel: the compile gate builds them all."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(catalogue, "MODULES", ("layer_norm",))


def test_a_pack_for_two_targets_and_two_batches(crossiqa, tmp_path):
    pack = tmp_path / "nano.pack"
    options = ("--target", "sm_87,sm_90", "--model", "nano", "--batch", 1, "--batch", 8, "-o", pack)
    done = crossiqa("kernels", "build", *options)
    assert done.code == 0, done.err
    opened = Pack.open(pack)
    assert {(use.architecture, use.batch) for use in opened.uses} == {(87, 1), (87, 8), (90, 1), (90, 8)}
    assert opened.model.startswith("nano@")
    assert f"next: crossiqa kernels show {pack}" in done.out
    assert "compiled layer_norm for sm_87" in done.complaints

    shown = crossiqa("kernels", "show", pack)
    assert shown.code == 0
    lines = [line.split() for line in shown.out.splitlines()[2:]]
    assert len(lines) == len(opened.uses)
    assert ["add_layer_norm", "sm_90", "fp16", "8"] in [line[:4] for line in lines]
    assert all(line[7] == "0" for line in lines)  # nothing is spilled


def test_sizes_of_the_family_without_weights_can_be_built_for(crossiqa, tmp_path):
    pack = tmp_path / "base.pack"
    done = crossiqa("kernels", "build", "--target", "sm_80", "--model", "base", "--dtype", "bf16", "-o", pack)
    assert done.code == 0, done.err
    opened = Pack.open(pack)
    assert {use.dtype for use in opened.uses} == {"bf16"}
    assert opened.kernels[0].constants["WIDTH"] == "768"


def test_all_targets_is_the_default(crossiqa, tmp_path, monkeypatch):
    asked = []

    def build(model, workloads, specs, progress):
        asked.extend(workloads)
        return Pack(model, "0", (), (), b"")

    monkeypatch.setattr("crossiqa_edge.kernels.aot.build_pack", build)
    assert crossiqa("kernels", "build", "-o", tmp_path / "x").code == 0
    assert {workload.architecture for workload in asked} == {75, 80, 86, 87, 89, 90, 100, 110, 120}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--target", "sm_87,sm_70"), "unknown target 'sm_70'"),
        (("--target", ""), "unknown target ''"),
        (("--model", "no-such-model"), "no-such-model"),
        (("--dtype", "fp8"), "fp8"),
        (("--batch", "0"), "0"),
    ],
)
def test_bad_options_are_told_in_words_and_nothing_is_written(crossiqa, tmp_path, options, complaint):
    done = crossiqa("kernels", "build", *options, "-o", tmp_path / "x.pack")
    assert done.code == 2
    assert complaint in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "x.pack").exists()


def test_a_file_that_is_no_pack_is_one_line(crossiqa, tiny_onnx):
    done = crossiqa("kernels", "show", tiny_onnx)
    assert (done.code, done.out) == (2, "")
    assert "not a kernel pack" in done.err
    assert len(done.complaints) == 1


def test_a_folder_that_cannot_be_written_is_one_line(crossiqa, tmp_path):
    done = crossiqa("kernels", "build", "--target", "sm_87", "-o", tmp_path / "absent" / "x.pack")
    assert done.code == 2
    assert "absent" in done.complaints[-1]
