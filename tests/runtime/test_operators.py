"""The table of operators is held to the schemas of those who define them, so that it cannot drift."""

import pytest

from crossiqa_edge.runtime.operators import ALLOWED, VARIADIC

OLDEST_OPSET = 13  # before it Pad, Slice and Unsqueeze took attributes in the place of inputs
UNASKED = {("com.microsoft", "Attention"): 3}  # more than the schema asks for, because OpenVINO reads them


def standard_schemas():
    onnx = pytest.importorskip("onnx", reason="the schemas of the standard operators are the onnx package's")
    return onnx.defs.get_all_schemas_with_history()


def onnxruntime_schemas():
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    return native.get_all_operator_schema()


def in_force(schemas, domain, name):
    """Those of an operator that some opset from ``OLDEST_OPSET`` on goes by."""
    found = [schema for schema in schemas if (schema.domain, schema.name) == (domain, name)]
    first = max((s.since_version for s in found if s.since_version <= OLDEST_OPSET), default=0)
    return [schema for schema in found if schema.since_version >= first]


@pytest.mark.parametrize(
    ("domain", "schemas"),
    [("", standard_schemas), ("com.microsoft", onnxruntime_schemas)],
    ids=["onnx", "ort"],
)
def test_the_least_numbers_of_inputs_are_those_of_the_schemas(domain, schemas):
    known = schemas()
    asked = {name: {s.min_input for s in in_force(known, domain, name)} for name in ALLOWED[domain]}
    assert asked == {name: {least} for name, least in ALLOWED[domain].items()} | {
        name: asked[name] for where, name in UNASKED if where == domain
    }
    for (where, name), more in UNASKED.items():
        if where == domain:
            assert max(asked[name]) < more == ALLOWED[domain][name]


def test_the_operators_of_any_number_of_inputs_are_those_of_the_schemas():
    many = {s.name for s in standard_schemas() if s.domain == "" and s.max_input > 100}
    assert many & ALLOWED[""].keys() == VARIADIC


@pytest.mark.parametrize("name", ["ConstantOfShape", "Pad", "Range", "Tile", "If", "Loop", "Scan", "Resize"])
def test_operators_that_make_as_much_as_a_number_says_or_run_on_are_not_allowed(name):
    assert name not in ALLOWED[""]
