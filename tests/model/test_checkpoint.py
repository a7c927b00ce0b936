from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from crossiqa_edge.card import CARD_KEY, ModelCard
from crossiqa_edge.errors import ArtefactError, ConfigError
from crossiqa_edge.model.checkpoint import check_name, load, save_model, weights_sha256
from crossiqa_edge.model.quality import QualityModel


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    card = ModelCard("m", "micro", calibration=(3.0, -1.5))
    model = QualityModel(card).eval()
    return model, save_model(model, card, tmp_path / "m.safetensors"), tmp_path / "m.safetensors"


def test_round_trip_gives_the_same_scores(saved):
    model, card, path = saved
    again, same_card = load(path)
    assert same_card == card
    views = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model(views), again(views))


@pytest.mark.parametrize(
    "wrong", [{"name": "a\nb"}, {"name": "a\u202eb"}, {"calibration": (float("nan"), 0.0)}]
)
def test_a_card_that_could_not_be_loaded_is_not_written(saved, tmp_path, wrong):
    model, card, _ = saved
    with pytest.raises(
        ArtefactError, match=rf"new\.safetensors: the model card has a bad '{next(iter(wrong))}'"
    ):
        save_model(model, replace(card, **wrong), tmp_path / "new.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_name_is_tried_before_the_work():
    check_name("my model, ünï 日本")
    for name in ("a\nb", "a\u202eb", "caf\udce9", "n" * 10_000):
        with pytest.raises(ConfigError, match="cannot be kept with a model"):
            check_name(name)


def test_changed_parameters_are_noticed(saved):
    _, card, path = saved
    tensors = load_file(path)
    tensors["head.bias"] += 1.0
    save_file(tensors, path, metadata={CARD_KEY: card.to_json()})
    with pytest.raises(ArtefactError, match="not those that the card names"):
        load(path)


def test_the_hash_knows_names_and_shapes_and_types_and_no_order():
    weight, bias = torch.arange(6.0), torch.zeros(2)
    known = weights_sha256({"weight": weight, "bias": bias})
    assert weights_sha256({"bias": bias.clone(), "weight": weight.clone()}) == known
    others = [
        {"weight": weight.view(2, 3), "bias": bias},
        {"weight": weight.view(torch.int32), "bias": bias},
        {"weight2": weight, "bias": bias},
        {"weight": weight.flip(0), "bias": bias},
    ]
    assert len({known, *map(weights_sha256, others)}) == 5


def test_a_file_without_a_card_is_refused(saved):
    _, _, path = saved
    save_file(load_file(path), path)
    with pytest.raises(ArtefactError, match="no model card"):
        load(path)


@pytest.mark.parametrize("cut", [0, 4, 100, -10])
def test_a_truncated_file_is_refused(saved, cut):
    _, _, path = saved
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ArtefactError, match="damaged"):
        load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"none\.safetensors: no such file"):
        load(tmp_path / "none.safetensors")
