"""Fine-tuning: the losses, and a whole run on a labelled folder made here."""

import csv
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from crossiqa_edge.card import ModelCard
from crossiqa_edge.data.datasets.population import population_mos
from crossiqa_edge.data.degradations import get
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.model.checkpoint import load
from crossiqa_edge.model.quality import QualityModel
from crossiqa_edge.training.finetune import OpinionRegression, finetune, rank_loss
from crossiqa_edge.training.mix import open_mix
from crossiqa_edge.training.recipe import FinetuneRecipe, Source
from crossiqa_edge.training.sources import KINDS, OrderDraws, PartDraws, PopulationDraws


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """Twelve contents at three levels of noise; the opinion is the level."""
    folder = tmp_path_factory.mktemp("labelled")
    with (folder / "labels.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["file", "mos"])
        for seed in range(12):
            for level, mos in ((1, 90.0), (3, 50.0), (5, 10.0)):
                name = f"{seed}-{level}.png"
                noisy = get("white_noise")(photo_like(seed, 64, 64), level, seed)
                Image.fromarray(noisy).save(folder / name)
                rows.writerow([name, mos])
    return folder


@pytest.fixture
def recipe():
    def make(**changes):
        values = {
            "name": "micro",
            "size": "micro",
            "view_size": 32,
            "batch": 4,
            "steps": 4,
            "steps_per_epoch": 4,
            "warmup_steps": 2,
            "learning_rate": 3e-3,
            "ema_decay": 0.9,
            "sources": (Source("folder", hold_out=0.25, name="noise"),),
        }
        return FinetuneRecipe(**{**values, **changes})

    return make


def test_rank_loss_wants_the_order_of_the_opinions_within_a_set():
    opinions = torch.tensor([0.1, 0.5, 0.9])
    same = torch.zeros(3, dtype=torch.long)
    right = rank_loss(opinions, opinions, same)
    wrong = rank_loss(-opinions, opinions, same)
    assert right < 0.1 < wrong
    assert rank_loss(-opinions, opinions, torch.arange(3)) == 0.0  # no pairs across sets
    assert rank_loss(-opinions, torch.full((3,), 0.5), same) == 0.0  # no order among equals


def test_sets_may_differ_in_scale_without_loss(recipe):
    from crossiqa_edge.card import ModelCard
    from crossiqa_edge.model.quality import QualityModel

    torch.manual_seed(0)
    two = recipe(sources=(Source("a"), Source("b")))
    quality = QualityModel(ModelCard("m", "micro"))
    torch.nn.init.normal_(quality.head.weight, std=0.1)
    module = OpinionRegression(quality, two)
    views = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        raw = quality.raw(views.flatten(0, 1)).view(2, 3)
        module.log_gain.fill_(np.log(0.5))
        module.shift.fill_(0.2)
        opinions = torch.stack([raw[0], 0.5 * raw[1] + 0.2])
        losses = module(torch.tensor([0, 1]), views, opinions, torch.full((2, 3), -1))
    assert losses["regression"] < 1e-9
    assert losses["kind"] == 0.0  # nothing to name


def test_a_run_learns_an_easy_set_and_calibrates_it(recipe, labelled, tmp_path, alone):
    """60 steps on three levels of noise: held-out contents are ranked right and scored near the labels."""
    path = finetune(
        recipe(steps=60, steps_per_epoch=60, batch=8),
        None,
        {"folder": labelled},
        tmp_path,
        alone,
        name="mine",
        workers=0,
    )
    model, card = load(path)
    assert card.name == "mine"
    assert card.accuracy["noise"]["SRCC"] > 0.8
    assert card.interval_half_width is not None
    assert card.interval_half_width < 40.0
    assert len(card.interval_half_widths) == len(card.interval_edges) + 1
    assert 0.5 <= card.accuracy["noise"]["interval coverage"] <= 1.0
    picture = photo_like(500, 224, 224)
    views = np.stack([get("white_noise")(picture, level, 1) for level in (1, 5)])
    with torch.no_grad():
        good, bad = model(torch.from_numpy(views)).tolist()
    assert good > bad


def test_a_linear_probe_leaves_the_encoder_alone(recipe, labelled, tmp_path, alone):
    fresh = finetune(recipe(steps=1), None, {"folder": labelled}, tmp_path / "a", alone, workers=0)
    before = load(fresh)[0].state_dict()
    probed = finetune(
        recipe(steps=2), fresh, {"folder": labelled}, tmp_path / "b", alone, linear_probe=True, workers=0
    )
    after = load(probed)[0].state_dict()
    assert not torch.equal(before["head.weight"], after["head.weight"])
    encoder = [name for name in before if name.startswith("encoder.")]
    assert all(torch.equal(before[name], after[name]) for name in encoder)


def test_a_source_without_a_root_is_named(recipe, tmp_path, alone):
    with pytest.raises(ConfigError, match="--data folder=FOLDER"):
        finetune(recipe(), None, {}, tmp_path, alone)


def test_order_draws_hold_levels_of_one_type_with_falling_scores(recipe, photos, tmp_path):
    draws = OrderDraws.of(sorted(photos.iterdir()), recipe(), tmp_path, "video")
    orders = set()
    for seed in range(12):
        drawn = list(draws._kinds(np.random.default_rng(seed)))
        assert {kind.family for kind, _ in drawn} == {"video"}
        assert len({kind.name for kind, _ in drawn}) == 1
        assert len({level for _, level in drawn}) == 4
        orders.add(tuple(level for _, level in drawn))
    assert len(orders) > 6
    drawn = draws.draw(np.random.default_rng(3))
    assert set(drawn.scores.tolist()) < {0.0, 0.25, 0.5, 0.75, 1.0}
    assert (drawn.kinds == drawn.kinds[0]).all()


def test_an_order_ranks_its_own_draw_and_regresses_nothing(recipe):
    sources = (Source("folder"), Source("video-order"))
    module = OpinionRegression(QualityModel(ModelCard("x", "micro")), replace(recipe(), sources=sources))
    raw = torch.tensor([[0.4, 0.6], [0.9, 0.1], [0.5, 0.3]])
    module.quality.features = lambda views: torch.zeros(len(views), module.quality.encoder.embed_dim)
    module.quality.head = torch.nn.Module()
    module.quality.head.forward = lambda features: raw.flatten()
    kinds, views = torch.full((3, 2), -1), torch.zeros(3, 2, 32, 32, 3, dtype=torch.uint8)
    opinions = torch.tensor([[0.4, 0.6], [1.0, 0.0], [0.0, 1.0]])
    sets = torch.tensor([0, 1, 1])
    losses = module(sets, views, opinions, kinds)
    assert losses["regression"] == 0.0  # the order's draws are far from their scores, and do not count
    pairs = [0.2, 0.8, -0.2]  # (better - worse) of the pair within each draw; none across the draws
    expected = sum(np.log1p(np.exp(-apart / 0.1)) for apart in pairs) / 3
    assert float(losses["rank"]) == pytest.approx(expected, rel=1e-5)
    swapped = module(torch.tensor([0, 0, 0]), views, opinions, kinds)
    assert swapped["regression"] > 0.0


@pytest.mark.parametrize("family", ["kadid10k", "tid2013"])
def test_population_draws_hold_two_levels_of_one_type(recipe, photos, tmp_path, family):
    draws = PopulationDraws.of(sorted(photos.iterdir()), recipe(), tmp_path, family)
    for seed in range(20):
        generator = np.random.default_rng(seed)
        first, second = list(draws._kinds(generator))[:2]
        assert first[0].name == second[0].name
        assert first[1] != second[1]
        assert first[0].family == family
    assert draws.draw(np.random.default_rng(0)).views.shape == (4, 32, 32, 3)


def test_draws_of_parts_harm_more_and_more_of_the_same_tiles(recipe, photos, tmp_path, monkeypatch):
    def blackened(content, level, seed):
        return np.zeros_like(content)

    monkeypatch.setattr(PartDraws, "_disliked", lambda self, generator: (blackened, 5))
    settings = replace(recipe(), view_size=96, fragment_share=1.0)
    draws = PartDraws.of(sorted(photos.iterdir()), settings, tmp_path, "kadid10k")
    drawn = draws.draw(np.random.default_rng(1))
    assert drawn.scores.tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert (drawn.kinds == -1).all()
    tiles = drawn.views.reshape(4, 3, 32, 3, 32, 3).swapaxes(2, 3).reshape(4, 9, -1)
    black = (tiles == 0).all(axis=2)
    assert black.sum(axis=1).tolist() == [0, 3, 6, 9]  # the best score goes to the view without harm
    assert (black[:-1] <= black[1:]).all()  # once harmed, always harmed
    for view, marks in zip(tiles, black, strict=True):
        np.testing.assert_array_equal(view[~marks], tiles[0][~marks])


def test_parts_are_harmed_only_by_what_people_dislike(recipe, photos, tmp_path):
    draws = PartDraws.of(sorted(photos.iterdir()), recipe(), tmp_path, "kadid10k")
    chosen = [draws._disliked(np.random.default_rng(seed)) for seed in range(60)]
    assert max(population_mos(kind.name, level) for kind, level in chosen) <= 0.6
    assert len({kind.name for kind, _ in chosen}) > 10


@pytest.mark.parametrize(
    ("data", "kind", "family"),
    [
        ("population", PopulationDraws, "kadid10k"),
        ("tid-population", PopulationDraws, "tid2013"),
        ("video-order", OrderDraws, "video"),
        ("part-order", PartDraws, "kadid10k"),
    ],
)
def test_a_set_is_drawn_as_its_name_says(recipe, photos, tmp_path, data, kind, family):
    mix = open_mix(recipe(sources=(Source(data, hold_out=0.5),)), {data: photos}, tmp_path)
    (draws,) = mix.draws
    assert type(draws) is kind
    assert draws.family == family
    assert len(mix.validations) == (0 if data.endswith("-order") else 1)


def test_fragments_are_spread_over_as_much_of_a_photograph_as_the_recipe_says(tmp_path):
    """Columns tell where they were: a view's tiles come from as far apart as they may."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")

    class Untouched(PopulationDraws):
        def _kinds(self, generator):
            return [(identity, 1)] * 4

        def _score(self, kind, level):
            return 1.0

    def identity(content, level, seed):
        return content

    identity.name = KINDS[0]

    def width(spread: int) -> int:
        settings = FinetuneRecipe(
            "spread", view_size=64, fragment_share=1.0, spread=spread, sources=(Source("population"),)
        )
        draws = Untouched.of([tmp_path / "ramp.png"], settings, tmp_path, "kadid10k")
        views = draws.draw(np.random.default_rng(0)).views
        return int(views.max()) - int(views.min())

    assert width(0) < 128  # twice the view
    assert 128 < width(192) < 192
    assert width(10_000) > 192  # the whole photograph


def stop_after(step):
    def observe(done, losses):
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return observe


@pytest.fixture
def begun(recipe, labelled, tmp_path, alone):
    """Starts a run in a folder, stops it after two steps, and gives what goes on there."""

    def go_on(weights=None, roots=None, **options):
        roots = roots or {"folder": labelled}
        return finetune(recipe(), weights, roots, tmp_path / "run", alone, workers=0, **options)

    def begin(weights=None, **options):
        with pytest.raises(KeyboardInterrupt):
            go_on(weights, observer=stop_after(2), **options)
        return go_on

    return begin


@pytest.fixture
def other_weights(recipe, labelled, tmp_path, alone):
    start = recipe(seed=5, steps=1)
    return finetune(start, None, {"folder": labelled}, tmp_path / "other", alone, workers=0)


def test_the_same_call_resumes_to_equal_weights(
    begun, recipe, labelled, other_weights, tmp_path, alone, recorded
):
    go_on = begun(other_weights)
    resumed = go_on(other_weights, observer=recorded)
    assert sorted(recorded) == [3, 4]
    whole = finetune(
        recipe(), other_weights, {"folder": labelled}, tmp_path / "whole", alone, name="micro", workers=0
    )
    assert load(resumed)[1].weights_sha256 == load(whole)[1].weights_sha256


def test_the_same_pictures_elsewhere_go_on(begun, labelled, tmp_path):
    moved = shutil.copytree(labelled, tmp_path / "labelled")
    assert begun()(roots={"folder": moved}).is_file()


def test_a_start_from_other_weights_is_refused_and_restart_begins_again(begun, other_weights):
    go_on = begun()
    _, card = load(other_weights)
    with pytest.raises(ConfigError, match=rf"start weights random \(now {card.identity}\).*--restart"):
        go_on(other_weights)
    with pytest.raises(ConfigError, match="start weights random"):
        go_on(load(other_weights))  # a network with its card is known by its weights, too
    assert go_on(other_weights, restart=True).is_file()


def test_a_linear_probe_and_none_do_not_go_on_from_each_other(begun):
    with pytest.raises(ConfigError, match=r"linear probe no \(now yes\)"):
        begun()(linear_probe=True)


@pytest.mark.parametrize("change", ["a picture less", "another opinion", "other pixels"])
def test_other_training_data_is_refused(begun, labelled, tmp_path, change):
    changed = shutil.copytree(labelled, tmp_path / "labelled")
    header, *rows = (changed / "labels.csv").read_text().splitlines()
    if change == "a picture less":
        rows = rows[:-1]
    elif change == "another opinion":
        rows = [row.replace(",50.0", ",51.0") for row in rows]
    else:
        for path in changed.glob("*.png"):
            Image.fromarray(photo_like(77, 150, 160)).save(path)
    (changed / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(ConfigError, match=r"begun with training data of source 1 \(folder\) \w+ \(now"):
        begun()(roots={"folder": changed})


@pytest.mark.parametrize("source", [Source("folder", hold_out=0.0), Source("tid-population", hold_out=0.25)])
def test_nothing_to_calibrate_on_is_told_before_the_training(
    recipe, labelled, photos, tmp_path, alone, recorded, source
):
    roots = {"folder": labelled, "tid-population": photos}
    with pytest.raises(ConfigError, match="nothing is held out to calibrate on"):
        finetune(recipe(sources=(source,)), None, roots, tmp_path / "a", alone, workers=0, observer=recorded)
    assert not recorded


def test_the_home_folder_may_be_written_short(recipe, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    mix = open_mix(
        recipe(sources=(Source("population", hold_out=0.5),)), {"population": f"~/{photos.name}"}, tmp_path
    )
    assert len(mix.draws) == 1


def test_what_the_process_did_before_does_not_matter(recipe, photos, other_weights, tmp_path, alone):
    """A plan that goes on in another process makes what it would have made in one."""
    settings = recipe(sources=(Source("population", hold_out=0.25),), steps=2)
    made = []
    for before in (1, 2):
        torch.manual_seed(before)
        out = tmp_path / f"after-{before}"
        path = finetune(settings, other_weights, {"population": photos}, out, alone, workers=0)
        made.append(load(path)[1].weights_sha256)
    assert made[0] == made[1]
