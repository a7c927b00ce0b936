"""The verbs that make files: what ends them leaves nothing half made."""

import signal

import click
import pytest

from crossiqa_edge.cli import bundle, export
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.export import bundle as bundling
from crossiqa_edge.export import conversion

VERBS = {
    "export": (export.command, ("--to", "triton-server"), conversion, "convert"),
    "bundle": (bundle.command, ("--target", "server"), bundling, "make_bundle"),
}


@pytest.fixture
def unheeded():
    """SIGTERM that does nothing, where by itself it would end these tests."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("verb", VERBS)
def test_sigterm_is_an_interrupt_so_that_nothing_is_left(verb, micro_export, tmp_path, monkeypatch, unheeded):
    command, options, module, work = VERBS[verb]

    def terminated(*given, **named):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(module, work, terminated)
    with pytest.raises(click.Abort):
        command.main([str(micro_export.onnx), *options, "-o", str(tmp_path / "made")], standalone_mode=False)


def test_a_bundle_in_another_precision_is_named_in_its_errors(micro_export, tmp_path, monkeypatch):
    """Not the graph of that precision, which is made for it alone and is gone by then."""

    def failing(made, progress):
        raise ArtefactError(f"{made.output}: gave a score outside 0..100")

    monkeypatch.setattr(conversion, "convert", failing)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtefactError, match=r"^made: gave a score outside 0\.\.100$"):
        bundle.command.main(
            [str(micro_export.onnx), "--target", "server", "--precision", "fp16", "-o", "made"],
            standalone_mode=False,
        )
    assert not list(tmp_path.iterdir())
