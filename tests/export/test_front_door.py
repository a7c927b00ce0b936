"""The package's own names: those of its modules, and imported no sooner than they are used."""

import subprocess
import sys

import pytest

from crossiqa_edge import export


def in_a_fresh_interpreter(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_neither_torch_nor_onnx():
    heavy = "{'torch', 'timm', 'onnx', 'scipy', 'onnxruntime', 'numpy'}"
    code = f"import sys, crossiqa_edge.export; print(sorted({heavy} & set(sys.modules)))"
    assert in_a_fresh_interpreter(code).strip() == "[]"


def test_what_needs_no_torch_does_not_import_it():
    code = (
        "import sys; from crossiqa_edge.export import TARGETS, Options, device_kind; "
        "print('torch' in sys.modules, 'onnx' in sys.modules)"
    )
    assert in_a_fresh_interpreter(code).split() == ["False", "False"]


def test_every_name_is_its_modules_own():
    assert sorted(export.__all__) == sorted(export._HOMES)
    for name in export.__all__:
        home = __import__(f"crossiqa_edge.export.{export._HOMES[name]}", fromlist=["_"])
        assert getattr(export, name) is getattr(home, name)
    assert set(dir(export)) == set(export.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        export.no_such_name  # noqa: B018


def test_modules_of_the_package_are_still_modules():
    code = "from crossiqa_edge.export import onnx, export_onnx; print(onnx.export_onnx is export_onnx)"
    assert in_a_fresh_interpreter(code).strip() == "True"


def test_the_use_that_its_docstring_shows(micro_export, tmp_path):
    from crossiqa_edge.export import Recipe, convert, plan

    planned = plan(micro_export.onnx, output=tmp_path / "half.onnx", recipe=Recipe("fp16"))
    made = convert(planned, lambda stage, share=None: None)
    assert made.path.is_file() and made.acceptance.passed


@pytest.mark.parametrize("missing", ["torch", "onnx"])
def test_without_the_extra_a_name_says_what_to_install(missing):
    told = in_a_fresh_interpreter(WITHOUT.format(missing=missing))
    assert "needs more packages: pip install 'crossiqa-edge[export]'" in told


# A None in sys.modules would do for `import`, but SciPy looks for torch there.
WITHOUT = """
import sys
from crossiqa_edge.errors import MissingDependencyError

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{missing}":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
try:
    from crossiqa_edge.export import export_onnx
except MissingDependencyError as error:
    print(error)
"""
