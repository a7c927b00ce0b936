"""Which version of a library would run: the one that its module states, found without running it."""

import sys

import pytest

from crossiqa_edge.runtime import devices

# Where the library is installed by pip: what is asked for, what it imports, and what must not be run.
FRONT = "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
BINDINGS = "raise RuntimeError('imported')\n__version__ = \"10.4.0.26\"\n"


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    """Nothing is known yet, and nothing of it later."""
    for name in ("tensorrt", "tensorrt_bindings", "tensorrt_libs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    devices.runtime_version.cache_clear()
    yield
    devices.runtime_version.cache_clear()
    sys.modules.pop("tensorrt", None)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """``site(module="text", …)``: packages in a folder that comes before all others."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(*distributions, **modules):
        for name, text in modules.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text(text)
        for name in distributions:
            folder = tmp_path / f"{name}.dist-info"
            folder.mkdir()
            title, _, version = name.partition("-")
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {title}\nVersion: {version}\n")

    return install


def test_it_is_what_the_module_states_not_the_package_that_asked_for_it(site):
    site("tensorrt-10.3.0", tensorrt=FRONT, tensorrt_bindings=BINDINGS)
    assert devices.runtime_version("tensorrt") == "10.4.0.26"


def test_it_is_found_without_importing_the_library(site):
    site("tensorrt-10.4.0.26", tensorrt=FRONT, tensorrt_bindings=BINDINGS)
    assert devices.runtime_version("tensorrt") == "10.4.0.26"
    assert not {"tensorrt", "tensorrt_bindings"} & set(sys.modules)


def test_a_module_that_has_no_metadata_states_it_itself(site):
    site(tensorrt='__version__ = "10.3.0"\n')
    assert devices.runtime_version("tensorrt") == "10.3.0"


def test_libraries_of_another_version_are_told(site):
    site("tensorrt_cu13_libs-10.5.0.11", tensorrt=FRONT, tensorrt_bindings=BINDINGS, tensorrt_libs="")
    assert devices.runtime_version("tensorrt") == "10.4.0.26+libs.10.5.0.11"


def test_libraries_of_the_same_version_or_of_another_runtime_are_not(site):
    site(
        *("tensorrt_cu13_libs-10.4.0.26", "tensorrt_rtx_cu13_libs-1.7.1.116"),
        **{"tensorrt": FRONT, "tensorrt_bindings": BINDINGS, "tensorrt_libs": ""},
    )
    assert devices.runtime_version("tensorrt") == "10.4.0.26"


def test_a_module_whose_source_does_not_say_is_asked(site):
    site(tensorrt='__version__ = ".".join(("10", "9"))\n')
    assert devices.runtime_version("tensorrt") == "10.9"


@pytest.mark.parametrize("text", ["import no_such_library\n", "raise OSError('libnvinfer.so.10')\n", ""])
def test_what_does_not_start_is_not_there(site, text):
    site(tensorrt=text)
    assert devices.runtime_version("tensorrt") is None


def test_what_runs_in_this_process_counts_and_stays(site, tmp_path):
    site(tensorrt='__version__ = "10.3.0"\n')
    assert devices.runtime_version("tensorrt") == "10.3.0"
    (tmp_path / "tensorrt" / "__init__.py").write_text('__version__ = "10.4.0"\n')  # upgraded meanwhile
    assert devices.runtime_version("tensorrt") == "10.3.0"


def test_the_installed_library_says_the_same_of_itself():
    library = pytest.importorskip("tensorrt_rtx", reason="needs the tensorrt-rtx extra")
    found = devices.runtime_version("tensorrt-rtx")
    assert found.split("+")[0] == library.__version__ == devices._stated_version("tensorrt_rtx")


def test_another_gpu_may_be_seen_where_some_are_hidden(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert devices.others_possible()
