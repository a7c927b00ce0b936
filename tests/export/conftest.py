"""The smallest network's bundle, which several files of tests use."""

import pytest

from crossiqa_edge.runtime.artefact import Artefact


@pytest.fixture(scope="session")
def source(micro_export):
    return Artefact.open(micro_export.onnx)


@pytest.fixture(scope="session")
def bundle(source, tmp_path_factory):
    """Of the float32 graph; a test that changes it takes a copy."""
    from crossiqa_edge.export.bundle import make_bundle
    from crossiqa_edge.export.bundle_targets import DEVICES

    folder = tmp_path_factory.mktemp("bundles")
    return make_bundle(source, DEVICES["jetson-orin"], folder / "bundle")
