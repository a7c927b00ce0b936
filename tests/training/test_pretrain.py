"""The pretext: does it run, resume exactly, spread over processes, and above all teach?"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.degradations import get
from crossiqa_edge.errors import ConfigError, DatasetError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load, read_tensors
from crossiqa_edge.training.loop import StepSampler
from crossiqa_edge.training.optimisation import build_optimiser, learning_rate, set_learning_rate
from crossiqa_edge.training.pictures import PictureCache
from crossiqa_edge.training.pretrain import Grids, build_module, pretrain
from crossiqa_edge.training.resume import CHECKPOINT


def run(recipe, photos, out, world, **options):
    return pretrain(recipe, photos, out, world, workers=0, **options)


def test_a_run_leaves_weights_a_sheet_and_events(micro, photos, tmp_path, alone):
    path = run(micro(), photos, tmp_path / "run", alone)
    _, card = load(path)
    assert card.size == "micro"
    assert card.recipe["pretrain"]["steps"] == 6
    assert len(list((tmp_path / "run").glob("reconstruction-*.png"))) == 2
    assert list((tmp_path / "run" / "events").iterdir())


def test_interrupted_and_resumed_equals_uninterrupted(micro, photos, tmp_path, alone, recorded):
    whole = run(micro(), photos, tmp_path / "whole", alone, observer=recorded)

    def stop(step, losses):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run(micro(), photos, tmp_path / "parts", alone, observer=stop)
    again = type(recorded)()
    parts = run(micro(), photos, tmp_path / "parts", alone, observer=again)
    assert sorted(again) == [5, 6]
    assert [again[5], again[6]] == [recorded[5], recorded[6]]
    assert load(whole)[1].weights_sha256 == load(parts)[1].weights_sha256


def test_the_state_of_another_recipe_is_refused_and_restart_forgets_it(micro, photos, tmp_path, alone):
    run(micro(), photos, tmp_path, alone)
    with pytest.raises(ConfigError, match="another recipe"):
        run(micro(seed=1), photos, tmp_path, alone)
    run(micro(seed=1), photos, tmp_path, alone, restart=True)


def test_a_test_part_that_is_kept_apart_might_as_well_not_be_there(micro, photos, tmp_path, alone):
    more = shutil.copytree(photos, tmp_path / "more")
    shutil.copy(photos / "0.png", more / "b100007.png")  # BSDS500's name of a test picture
    made = {}
    for name, folder, apart in (("alone", photos, True), ("apart", more, True), ("in", more, False)):
        recipe = micro(steps=2, bsds_test_apart=apart)
        made[name] = load(run(recipe, folder, tmp_path / name, alone))[1]
    assert made["apart"].training_data == made["alone"].training_data == ("6 photographs, unlabelled",)
    assert made["apart"].weights_sha256 == made["alone"].weights_sha256 != made["in"].weights_sha256


def test_other_photographs_are_refused_and_the_same_elsewhere_are_not(micro, photos, tmp_path, alone):
    run(micro(), photos, tmp_path / "run", alone)
    moved = shutil.copytree(photos, tmp_path / "moved")
    run(micro(), moved, tmp_path / "run", alone)
    (moved / "0.png").rename(moved / "a.png")
    with pytest.raises(ConfigError, match=r"begun with photographs \w+ \(now \w+\).*--restart"):
        run(micro(), moved, tmp_path / "run", alone)
    run(micro(), moved, tmp_path / "run", alone, restart=True)


def test_a_start_from_other_weights_is_refused(micro, photos, tmp_path, alone, monkeypatch):
    def fill(encoder, path):
        for parameter in encoder.parameters():
            torch.nn.init.constant_(parameter, float(path))

    monkeypatch.setattr("crossiqa_edge.training.pretrain.initialise_encoder", fill)
    run(micro(), photos, tmp_path, alone, init_from="0.1")
    run(micro(), photos, tmp_path, alone, init_from="0.1")
    with pytest.raises(ConfigError, match="begun with start weights"):
        run(micro(), photos, tmp_path, alone, init_from="0.2")
    with pytest.raises(ConfigError, match=r"start weights \w+ \(now random\)"):
        run(micro(), photos, tmp_path, alone)


def test_a_state_that_does_not_tell_what_it_was_begun_with_is_refused(micro, photos, tmp_path, alone):
    run(micro(), photos, tmp_path, alone)
    tensors, metadata = read_tensors(tmp_path / CHECKPOINT)
    del metadata["facts"]
    (tmp_path / CHECKPOINT).write_bytes(save(tensors, metadata=metadata))
    with pytest.raises(ConfigError, match=r"does not tell what it was begun with.*--restart"):
        run(micro(), photos, tmp_path, alone)


def test_a_file_that_is_no_state_is_refused(micro, photos, tmp_path, alone):
    (tmp_path / CHECKPOINT).write_bytes(save({"weight": torch.zeros(3)}))
    with pytest.raises(ConfigError, match=r"is no state of a run.*--restart"):
        run(micro(), photos, tmp_path, alone)


def test_a_folder_without_pictures_is_refused(micro, tmp_path, alone):
    with pytest.raises(DatasetError):
        run(micro(), tmp_path, tmp_path / "run", alone)


def test_items_are_pure_functions_of_their_index(micro, photos, tmp_path):
    cache = PictureCache.of_files(tmp_path, sorted(photos.iterdir()))
    first, second = Grids(cache, micro()), Grids(cache, micro())
    assert torch.equal(first[3][0], second[3][0])
    assert not torch.equal(first[3][0], first[4][0])
    assert not torch.equal(first[3][0], Grids(cache, micro(seed=1))[3][0])
    assert first[0][0].shape == (2, 2, 32, 32, 3)


@pytest.mark.parametrize(("share", "columns"), [(0.0, {()}), (1.0, {(0,), (1,)}), (0.5, {(), (0,), (1,)})])
def test_a_share_of_the_grids_has_a_pristine_column(micro, photos, tmp_path, monkeypatch, share, columns):
    monkeypatch.setattr(Grids, "_view", lambda self, content, kind, generator: kind is None)
    cache = PictureCache.of_files(tmp_path, sorted(photos.iterdir()))
    grids = Grids(cache, micro(pristine_share=share))
    seen = set()
    for index in range(24):
        (pristine,) = grids[index]
        assert torch.equal(pristine[0], pristine[1])  # both contents under the same two degradations
        seen.add(tuple(pristine[0].nonzero().flatten().tolist()))
    assert seen == columns


def test_same_content_pairing_shares_the_picture(micro, photos, tmp_path):
    cache = PictureCache.of_files(tmp_path, sorted(photos.iterdir()))
    grid = Grids(cache, micro(pairing="same-content", pristine_share=1.0))[1][0].float()
    clean = 0 if (grid[0, 0] == grid[1, 0]).all() else 1
    assert torch.equal(grid[0, clean], grid[1, clean])


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_step_has_the_same_items_over_any_number_of_processes(micro, processes):
    class World:
        size = processes

    def batches(rank):
        world = World()
        world.rank = rank
        return list(StepSampler(2, micro(batch=8), world))

    shares = [batches(rank) for rank in range(processes)]
    assert sorted(index for share in shares for index in share[0]) == list(range(16, 24))


_SCRIPT = """
import json, sys, torch
from crossiqa_edge.training.distributed import joined
from crossiqa_edge.training.pretrain import pretrain
from crossiqa_edge.training.recipe import PretrainRecipe
torch.set_num_threads(1)
recipe = PretrainRecipe(**json.loads(sys.argv[1]))
losses = {}
with joined("cpu") as world:
    pretrain(recipe, sys.argv[2], sys.argv[3], world, workers=0,
             observer=lambda step, figures: losses.update({step: figures["total"]}))
    if world.leads:
        print(json.dumps(losses))
"""


def test_two_processes_give_the_loss_of_one(micro, photos, tmp_path, alone, recorded):
    recipe = micro(steps=4)
    run(recipe, photos, tmp_path / "one", alone, observer=recorded)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # both processes open one cache: fill it first
    PictureCache.of_files(tmp_path / "one", sorted(photos.iterdir()))
    command = [sys.executable, "-c", _SCRIPT, json.dumps(recipe.to_dict()), str(photos)]
    workers = [
        subprocess.Popen(
            [*command, str(tmp_path / "two")],
            env=os.environ
            | {
                "RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [worker.communicate(timeout=180) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    losses = {int(step): loss for step, loss in json.loads(outputs[0][0].splitlines()[-1]).items()}
    assert losses == pytest.approx(dict(recorded), rel=2e-3)


def contrasting_grids(count, generator):
    """Grids (count, 2, 2, 32, 32, 3) of two contents, darkened and brightened: easy to tell apart."""
    dark, bright = get("darken"), get("brighten")
    grids = []
    for _ in range(count):
        contents = [photo_like(int(generator.integers(10_000)), 32, 32) for _ in range(2)]
        grids.append([[kind(content, 5) for kind in (dark, bright)] for content in contents])
    return torch.from_numpy(np.array(grids))


def test_the_pretext_teaches_and_the_class_token_carries_the_degradation(micro, generator):
    """200 steps: the crossed loss falls to under 70 % of what it is once the mean colour is learnt, and
    a class token swapped for one of the other degradation moves the output towards that degradation."""
    recipe = micro(steps=200, warmup_steps=10, learning_rate=3e-3, batch=8, view_size=32)
    module = build_module(recipe, ModelCard("micro", "micro", view_size=32))
    optimiser = build_optimiser(module, recipe)
    pool = contrasting_grids(48, generator)
    crossed = []
    for step in range(recipe.steps):
        chosen = generator.integers(len(pool), size=recipe.batch)
        set_learning_rate(optimiser, learning_rate(step, recipe))
        losses = module(pool[chosen])
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        crossed.append(float(losses["crossed"].detach()))
    assert np.mean(crossed[-20:]) < 0.7 * np.mean(crossed[20:40])

    fresh = contrasting_grids(16, np.random.default_rng(99))
    with torch.no_grad():
        tokens = module.encode_grid(fresh)
        patches, classes = tokens[:, 0, 0, 1:], tokens[:, 1, :, 0]
        kept = module.decode(patches, classes[:, 0], 32).pixels
        swapped = module.decode(patches, classes[:, 1], 32).pixels
    dark, bright = (fresh[:, 0, i].float() / 255.0 for i in range(2))
    towards_bright = (kept - bright).abs().mean((1, 2, 3)) - (swapped - bright).abs().mean((1, 2, 3))
    away_from_dark = (swapped - dark).abs().mean((1, 2, 3)) - (kept - dark).abs().mean((1, 2, 3))
    assert (towards_bright > 0).float().mean() >= 0.9
    assert (away_from_dark > 0).float().mean() >= 0.9
