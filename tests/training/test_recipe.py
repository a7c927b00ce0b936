import pytest

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.training.recipe import (
    FinetuneRecipe,
    PretrainRecipe,
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


def test_an_unknown_recipe_lists_the_packaged_ones():
    with pytest.raises(ConfigError, match="nano-pretrain"):
        load_recipe(PretrainRecipe, "no-such-recipe")
