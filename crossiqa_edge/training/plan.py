"""Plans: all stages from random weights to a finished model, in one small TOML file and by one command.

A plan holds its recipes, so it alone decides what is made. A stage whose result lies in the folder is not
repeated, one that was interrupted goes on from its state.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from crossiqa_edge.atomic import write_text
from crossiqa_edge.errors import ConfigError, OutputError
from crossiqa_edge.model.checkpoint import check_name
from crossiqa_edge.training.average import average
from crossiqa_edge.training.distributed import World
from crossiqa_edge.training.finetune import MODEL, finetune
from crossiqa_edge.training.loop import prepare_run
from crossiqa_edge.training.mix import open_source, set_digest
from crossiqa_edge.training.pretrain import ENCODER, pretrain
from crossiqa_edge.training.recipe import (
    FinetuneRecipe,
    PretrainRecipe,
    Source,
    build_recipe,
    packaged_names,
    read_toml,
)
from crossiqa_edge.training.resume import CHECKPOINT
from crossiqa_edge.training.teacher import (
    OPINIONS,
    fit_teacher,
    forget_opinions,
    training_pictures,
    write_opinions,
)

_PACKAGED = files("crossiqa_edge.training") / "plans"
_RESULTS = {"pretrain": ENCODER, "finetune": MODEL, "average": MODEL, "teach": OPINIONS}
_STAGE_KEYS = {"name", "verb", "from", "recipe"}
# Sets that are made of others' pictures: where they lie if nothing else is said.
_SAME_PLACE = dict.fromkeys(("tid-population", "video-order", "part-order"), "population")
_PLAN, _DATA = "plan.json", "data.json"

Roots = Mapping[str, str | os.PathLike[str]]


@dataclass(frozen=True)
class Stage:
    """One step of a plan.

    Attributes:
        name: of the stage, and of its folder.
        verb: pretrain, finetune, teach or average.
        recipe: what decides the stage.
        sources: names of the stages whose weights it starts from or averages.
    """

    name: str
    verb: str
    recipe: PretrainRecipe | FinetuneRecipe
    sources: tuple[str, ...] = ()

    def result(self, out: Path) -> Path:
        """The file that the stage leaves, last of all that it writes."""
        return out / self.name / _RESULTS[self.verb]


def packaged_plans() -> list[str]:
    """Names of the plans that come with the package."""
    return packaged_names(_PACKAGED)


def load_plan(name: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None) -> tuple[Stage, ...]:
    """A packaged plan by name, or one from a TOML file; ``overrides`` replace values in all its recipes.

    A plan has the values that its recipes share at the top, then tables ``[[stages]]`` with a name, a verb,
    ``from`` (stages before it) and ``recipe``, a table of the values that are this stage's own.

    Raises:
        ConfigError: no such plan, not TOML, or a stage that makes no sense.
    """
    shared = read_toml(_PACKAGED, name, "plan")
    stages: list[Stage] = []
    for table in shared.pop("stages", []):
        own = {**table, "recipe": {**table.get("recipe", {}), **(overrides or {})}}
        stages.append(_stage(own, shared, Path(name).stem, stages))
    if not stages:
        raise ConfigError(f"plan {name}: at least one [[stages]] is needed")
    return tuple(stages)


def run_plan(
    plan: tuple[Stage, ...],
    roots: Roots,
    out: str | os.PathLike[str],
    world: World,
    *,
    name: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    workers: int = 1,
    restart: bool = False,
) -> Path:
    """Run the stages that ``out`` does not hold yet, each in a folder of its own.

    Args:
        roots: where each set lies; those made of ``population``'s photographs lie where it does, and what a
            teacher was asked lies in the folder of the stage before.
        name: what the model will be called.
        cache: folder for decoded pictures, one within ``out`` by default.
        restart: forget first whatever stages left in ``out``, of this plan or of the one before. A restart
            that is interrupted goes on without it.

    Returns:
        Path of the last stage's result.

    Raises:
        ConfigError: a name that no card can hold, ``out`` holds the run of another plan or one that was
            begun on other data, or a set is missing from ``roots``.
    """
    if name is not None:
        check_name(name)
    directory = prepare_run(out, restart=restart)
    if world.leads:
        data = _digests(plan, roots)
        if not restart:
            _check_data(directory / _DATA, data)
        _claim(directory / _PLAN, plan, restart)
        write_text(directory / _DATA, json.dumps(data, indent=1) + "\n")
    places = dict(roots)
    for made, origin in _SAME_PLACE.items():
        if origin in roots:
            places.setdefault(made, roots[origin])
    options = {"cache": cache or directory / "pictures", "workers": workers, "restart": restart}
    for stage in plan:
        if stage.verb == "teach":
            places["taught"] = directory / stage.name
        if restart or not stage.result(directory).is_file():
            _run_stage(stage, places, directory, world, name, options)
            world.wait()
    return plan[-1].result(directory)


def _run_stage(
    stage: Stage, places: Roots, out: Path, world: World, name: str | None, options: dict[str, Any]
) -> None:
    before = [_weights(out, source) for source in stage.sources]
    folder, recipe = out / stage.name, stage.recipe
    if isinstance(recipe, PretrainRecipe):
        if "population" not in places:
            raise ConfigError(f"stage {stage.name}: say where photographs lie: --data population=FOLDER")
        pretrain(recipe, places["population"], folder, world, **options)
    elif stage.verb == "finetune":
        finetune(recipe, before[0] if before else None, places, folder, world, name=name, **options)
    elif world.leads and stage.verb == "teach":
        judged, held_out, loaders = training_pictures(recipe, places)
        teacher, _ = fit_teacher(judged, held_out)
        write_opinions(teacher, loaders, folder, recipe.seed)
    elif world.leads:
        average(before, recipe, places, folder, cache=options["cache"])


def _weights(out: Path, stage: str) -> Path:
    finished, encoder = out / stage / MODEL, out / stage / ENCODER
    return finished if finished.is_file() else encoder


def _stage(table: Mapping[str, Any], shared: Mapping[str, Any], plan: str, before: list[Stage]) -> Stage:
    name, verb = str(table.get("name", "")), str(table.get("verb", ""))
    where = f"plan {plan}, stage {name!r}"
    if unknown := set(table) - _STAGE_KEYS:
        raise ConfigError(f"{where}: unknown key {min(unknown)!r}; known: name, verb, from, recipe")
    if not name.isidentifier() or any(stage.name == name for stage in before):
        raise ConfigError(f"{where}: give each stage one word of its own as its name")
    if verb not in _RESULTS:
        raise ConfigError(f"{where}: verb is {', '.join(_RESULTS)}, not {verb!r}")
    sources = table.get("from", ())
    sources = (sources,) if isinstance(sources, str) else tuple(sources)
    models = [stage.name for stage in before if stage.verb != "teach"]
    for source in sources:
        if source not in models:
            raise ConfigError(f"{where}: from {source!r}, which makes no weights before it")
    kind: type[PretrainRecipe | FinetuneRecipe] = FinetuneRecipe
    other: type[PretrainRecipe | FinetuneRecipe] = PretrainRecipe
    if verb == "pretrain":
        kind, other = other, kind
    foreign = {item.name for item in fields(other)} - {item.name for item in fields(kind)}
    values = {key: value for key, value in shared.items() if key not in foreign}
    values |= {**table.get("recipe", {}), "name": f"{plan}-{name}"}
    return Stage(name, verb, build_recipe(kind, values, where), sources)


def _digests(plan: tuple[Stage, ...], roots: Roots) -> dict[str, str]:
    """What lies in each of ``roots`` that the plan uses, by its name. Where it lies is no part."""
    tuned = [stage.recipe for stage in plan if isinstance(stage.recipe, FinetuneRecipe)]
    used = {source.place or source.data: source for recipe in tuned for source in recipe.sources}
    used.setdefault("population", Source("population"))  # what a pretext sees
    return {
        name: set_digest(open_source(source, Path(roots[name]).expanduser()))
        for name, source in used.items()
        if name in roots
    }


def _check_data(path: Path, data: Mapping[str, str]) -> None:
    """Stages that were made of other data must not be gone on from."""
    before = json.loads(path.read_text()) if path.is_file() else {}
    if changed := [name for name in data if before.get(name, data[name]) != data[name]]:
        raise ConfigError(
            f"{path.parent}: was begun on other data ({', '.join(changed)}); choose another folder, "
            "or --restart"
        )


def _claim(path: Path, plan: tuple[Stage, ...], restart: bool) -> None:
    """Keep the plan beside its results, so that another one does not go on from them.

    A restart forgets them first: once the plan is kept, what lies here counts as made by it.
    """
    text = json.dumps([asdict(stage) for stage in plan], indent=1) + "\n"
    if path.is_file() and path.read_text() != text and not restart:
        raise ConfigError(f"{path.parent}: holds the run of another plan; choose another folder or --restart")
    if restart:
        names = dict.fromkeys((*_names_kept(path), *(stage.name for stage in plan)))
        for name in reversed(names):  # the last first: what an interruption spares is a plan's beginning
            _forget(path.parent / name)
    write_text(path, text)


def _names_kept(path: Path) -> list[str]:
    """Names of the stages of the plan that is kept at ``path``; none where there is none.

    Raises:
        ConfigError: it is no plan that ``_claim`` wrote, so nothing tells what may be removed.
    """
    if not path.is_file():
        return []
    try:
        names = [str(stage["name"]) for stage in json.loads(path.read_text())]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path}: damaged; choose another folder, or remove what lies in this one"
        ) from error
    if not all(map(str.isidentifier, names)):  # else a name could lead out of the folder
        raise ConfigError(f"{path}: has a stage without a proper name; choose another folder")
    return names


def _forget(folder: Path) -> None:
    """Remove what a stage of any verb leaves in its folder, and the state that it would go on from."""
    try:
        for file in {CHECKPOINT, *_RESULTS.values()}:
            (folder / file).unlink(missing_ok=True)
        forget_opinions(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot remove what an earlier run left ({error.strerror})") from error
