import json

import click
import pytest
from click.testing import CliRunner

from crossiqa_edge.cli import score, serve, watch
from crossiqa_edge.cli.config import config_option, read_config
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.runtime.scorer import Scorer


@click.command()
@config_option
@click.option("--model", default="nano")
@click.option("--batch", default=8, type=int)
def verb(model, batch):
    click.echo(f"{model} {batch}")


def test_the_file_gives_defaults_and_the_command_line_wins(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"model": "tiny", "batch": 2, "views": 5}))
    run = CliRunner().invoke
    assert run(verb, []).output == "nano 8\n"
    assert run(verb, ["--config", str(path)]).output == "tiny 2\n"
    assert run(verb, ["--batch", "4", "--config", str(path)]).output == "tiny 4\n"


@pytest.mark.parametrize(
    "text", ["", "[]", '{"modle": "nano"}', '{"crops": 5}', '{"batch": "8"}', '{"batch": true}']
)
def test_a_file_that_is_no_config_is_refused(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.json"):
        read_config(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("module", "argument"),
    [(score, ["examples/coffee.jpg"]), (watch, ["testpattern:"]), (serve, ["--port", "0"])],
)
def test_every_verb_that_scores_reads_what_tune_writes(module, argument, tmp_path, monkeypatch):
    found = {"model": "other", "backend": "openvino", "sampling": "fragments", "views": 3, "batch": 2}
    path = tmp_path / "found.json"
    path.write_text(json.dumps(found))
    asked = {}

    def load(model, **options):
        asked.update(options, model=model)
        raise ConfigError("far enough")

    monkeypatch.setattr(Scorer, "load", load)
    done = CliRunner().invoke(module.command, ["--config", str(path), *argument])
    assert str(done.exception) == "far enough"
    assert {key: asked[key] for key in ("model", "backend", "sampling", "views")} == {
        key: value for key, value in found.items() if key != "batch"
    }
