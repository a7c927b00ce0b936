import pytest

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.training.plan import load_plan, packaged_plans
from crossiqa_edge.training.recipe import (
    FinetuneRecipe,
    PretrainRecipe,
    Source,
    load_recipe,
    packaged_recipes,
)


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipes_are_sound(name):
    kind = PretrainRecipe if "pretrain" in name else FinetuneRecipe
    assert load_recipe(kind, name).name == name


def test_a_file_is_named_after_itself_and_keeps_defaults(recipe_file):
    recipe = load_recipe(PretrainRecipe, recipe_file("steps = 7\nlearning_rate = 1"))
    assert (recipe.name, recipe.steps, recipe.learning_rate) == ("mine", 7, 1.0)
    assert recipe.batch == PretrainRecipe("x").batch


def test_overrides_win(recipe_file):
    assert load_recipe(PretrainRecipe, recipe_file("steps = 7"), {"steps": 9}).steps == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 7", "did you mean 'steps'"),
        ("steps = 'many'", "steps is a int"),
        ("steps = 0", "steps must be positive"),
        ("view_size = 100", "multiple of 16"),
        ("precision = 'fp64'", "precision is"),
        ("pairing = 'random'", "pairing is"),
        ("steps = = 7", "not TOML"),
    ],
)
def test_wrong_values_are_named(recipe_file, text, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(PretrainRecipe, recipe_file(text))


def test_sources_are_checked(recipe_file):
    with pytest.raises(ConfigError, match="at least one"):
        load_recipe(FinetuneRecipe, recipe_file("steps = 7"))
    with pytest.raises(ConfigError, match="sources"):
        load_recipe(FinetuneRecipe, recipe_file("[[sources]]\ndata = 'a'\nshare = 2"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("doubles = ['a.png', 'b.png']", "groups of names"),
        ("doubles = [3]", "groups of names"),
        ("doubles = 'x'", "groups of names"),
        ("doubles = 5", "groups of names"),
        ("hold_out_references = 'x'", "hold_out_references are names"),
        ("hold_out = 'x'", "hold_out is a number"),
        ("weight = -1", "weight is a number"),
        ("weight = nan", "weight is a number"),
        ("weight = 0", "with a weight is needed"),
    ],
)
def test_values_of_a_source_are_checked(recipe_file, text, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(FinetuneRecipe, recipe_file(f"[[sources]]\ndata = 'folder'\n{text}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources = 5", "sources are tables"),
        ("sources = [5]", "sources are tables"),
        ("variants = 0\n[[sources]]\ndata = 'a'", "variants must be positive"),
        ("seed = -1\n[[sources]]\ndata = 'a'", "seed must not be negative"),
        ("ema_decay = 2.0\n[[sources]]\ndata = 'a'", "ema_decay is from 0"),
    ],
)
def test_values_without_sense_are_named(recipe_file, text, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(FinetuneRecipe, recipe_file(text))


def test_an_unknown_recipe_lists_the_packaged_ones():
    with pytest.raises(ConfigError, match="nano-pretrain"):
        load_recipe(PretrainRecipe, "no-such-recipe")


PARTS = (Source("population"), Source("part-order"))


@pytest.mark.parametrize(
    ("size", "near"), [(16, "32"), (48, "32 or 64"), (112, "96 or 128"), (144, "128 or 160")]
)
@pytest.mark.parametrize("changes", [{"fragment_share": 0.5}, {"sources": PARTS}])
def test_fragments_need_views_of_whole_tiles(size, near, changes):
    with pytest.raises(ConfigError, match=rf"view_size {size} .*32.*use {near}$"):
        FinetuneRecipe("x", **{"view_size": size, "sources": PARTS[:1], **changes})


def test_views_of_whole_tiles_may_be_fragments_and_windows_of_any_size():
    for size in (32, 96, 128, 224):
        assert FinetuneRecipe("x", view_size=size, fragment_share=1.0, sources=PARTS).view_size == size
    assert FinetuneRecipe("x", view_size=112, sources=PARTS[:1]).view_size == 112
    assert PretrainRecipe("x").view_size == 112


def test_the_view_of_a_fine_tuning_that_says_none_may_be_fragments():
    assert FinetuneRecipe("x", fragment_share=0.5, sources=PARTS).view_size == 128


def test_a_file_of_fragments_that_do_not_fit_is_refused(recipe_file):
    text = "view_size = 112\nfragment_share = 0.8\n[[sources]]\ndata = 'folder'"
    with pytest.raises(ConfigError, match="use 96 or 128"):
        load_recipe(FinetuneRecipe, recipe_file(text))
    assert load_recipe(FinetuneRecipe, recipe_file(text), {"view_size": 128}).view_size == 128


@pytest.mark.parametrize("name", packaged_plans())
def test_packaged_plans_have_sound_views(name):
    assert all(stage.recipe.view_size in (96, 128) or stage.verb == "pretrain" for stage in load_plan(name))
