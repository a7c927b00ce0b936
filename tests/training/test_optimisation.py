import pytest
import torch
from torch import nn

from crossiqa_edge.model.encoder import build_encoder
from crossiqa_edge.training.optimisation import (
    build_optimiser,
    learning_rate,
    resolve_precision,
    set_learning_rate,
    update_average,
)


def test_schedule_warms_up_peaks_and_ends_at_zero(micro):
    recipe = micro(steps=100, warmup_steps=10, learning_rate=2.0)
    rates = [learning_rate(step, recipe) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)  # half-way down the cosine
    assert rates[100] == pytest.approx(0.0, abs=1e-9)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_only_matrices_decay_and_frozen_parameters_are_left_out(micro):
    module = nn.ModuleDict({"a": nn.Linear(3, 4), "norm": nn.LayerNorm(4), "frozen": nn.Linear(2, 2)})
    module["frozen"].requires_grad_(False)
    optimiser = build_optimiser(module, micro(weight_decay=0.1), [("norm.", 0.5)])
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert decays[id(module["a"].weight)] == 0.1
    assert decays[id(module["a"].bias)] == 0.0
    assert id(module["frozen"].weight) not in decays
    set_learning_rate(optimiser, 0.2)
    rates = {id(p): g["lr"] for g in optimiser.param_groups for p in g["params"]}
    assert rates[id(module["a"].weight)] == 0.2
    assert rates[id(module["norm"].weight)] == 0.1


def test_of_an_encoder_the_weights_of_linear_maps_decay_and_nothing_else(micro):
    encoder = build_encoder("micro", view_size=32)
    groups = build_optimiser(encoder, micro(weight_decay=0.1)).param_groups
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    decaying = {name for name, parameter in encoder.named_parameters() if decays[id(parameter)] == 0.1}
    linear = {name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
    assert decaying == {f"{name}.weight" for name in linear}
    assert {decays[id(encoder.pos_embed)], decays[id(encoder.cls_token)]} == {0.0}


def test_average_follows_a_constant_and_lags_a_jump():
    average, module = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.ones_(module.weight)
    for step in range(2000):
        update_average(average, module, 0.99, step)
    torch.testing.assert_close(average.weight, module.weight, atol=1e-4, rtol=0)
    nn.init.zeros_(module.weight)
    update_average(average, module, 0.99, 2000)
    assert float(average.weight.detach()) == pytest.approx(0.99, abs=1e-3)


def test_automatic_precision_asks_the_hardware(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert resolve_precision("auto", cpu) is torch.float32
    assert resolve_precision("bf16", cpu) is torch.bfloat16
    assert resolve_precision("fp32", cpu) is torch.float32
