"""``--config``: options of a verb from a file that ``crossiqa tune`` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from crossiqa_edge.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])

_META = f"{__name__}.path"
_KEYS: dict[str, type] = {"model": str, "backend": str, "sampling": str, "views": int, "batch": int}


def config_option(command: Command) -> Command:
    """``--config FILE.json``: defaults of the other options; what is given on the command line wins."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE.json",
        is_eager=True,
        expose_value=False,
        callback=_apply,
        help="Options that crossiqa tune found; those given here win.",
    )(command)


def config_in_use() -> list[str]:
    """The file that ``--config`` of the verb that runs named; empty without one."""
    return list(click.get_current_context().meta.get(_META, ()))


def read_config(path: Path) -> dict[str, Any]:
    """The options in ``path``.

    Raises:
        ConfigError: no such file, not JSON, or a key or value that no verb takes.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not JSON"
        raise ConfigError(
            f"{path}: cannot be used as --config ({reason}); write it with: crossiqa tune -o"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a JSON object of options; write it with: crossiqa tune -o")
    for key, value in values.items():
        if key not in _KEYS or type(value) is not _KEYS[key]:
            known = ", ".join(f"{name} ({kind.__name__})" for name, kind in _KEYS.items())
            raise ConfigError(f"{path}: bad option {key!r}: {value!r}; known are {known}")
    return values


def _apply(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None:
        context.meta[_META] = (str(path),)
        context.default_map = {**(context.default_map or {}), **read_config(path)}
