"""Options that several verbs share, so that they mean and say the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from crossiqa_edge.cli.config import config_option
from crossiqa_edge.imaging.sampling import SAMPLINGS, USUAL_VIEWS
from crossiqa_edge.runtime.select import AUTO, BACKENDS
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.pooling import METHODS, Pooling

# Views lie on the two diagonals: with 64, neighbours overlap even in a 4K picture. All views of a batch
# are in memory at once, 0.6 MB each with 224 pixels a side, so a large number ends without a message.
VIEWS = click.IntRange(1, 64)
USUALLY = f"[default: {', '.join(f'{count} of {sampling}' for sampling, count in USUAL_VIEWS.items())}]"
_BATCH = click.IntRange(1, 1024)  # far beyond what pays, and 600 MB of views
_POLICY, _POOLING = Policy(), Pooling()  # for their defaults
Command = TypeVar("Command", bound=Callable[..., Any])


_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", re.ASCII)


def seconds(text: str) -> float:
    """A place in a clip, given as seconds or ``[H:]MM:SS``, both with decimals, in seconds."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time; write seconds or H:MM:SS.mmm")
    hours, minutes, rest = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(rest)


def model_options(command: Command) -> Command:
    """``--config``, ``--model``, ``--backend`` and ``--threads``: what scores."""
    return _with(
        command,
        config_option,
        click.option(
            "--model",
            default="nano",
            show_default=True,
            metavar="NAME|FILE",
            help="A shipped model (see: crossiqa models) or an .onnx file made by crossiqa export.",
        ),
        click.option(
            "--backend",
            type=click.Choice([AUTO, *BACKENDS]),
            default=AUTO,
            show_default=True,
            help="What runs the model.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            help="CPU threads of one inference.  [default: all]",
        ),
    )


def sampling_options(what: str = "picture") -> Callable[[Command], Command]:
    """``--sampling`` and ``--views``: what the model sees of a ``what``."""

    def decorate(command: Command) -> Command:
        return _with(
            command,
            click.option(
                "--sampling",
                type=click.Choice(SAMPLINGS),
                help=f"How a {what} is read.  [default: as the model]",
            ),
            click.option("--views", type=VIEWS, help=f"Views a {what}.  {USUALLY}"),
        )

    return decorate


def reading_options(command: Command) -> Command:
    """``--sampling``, ``--views`` and ``--batch``: how pictures reach the model."""
    return _with(
        command,
        sampling_options(),
        click.option(
            "--batch",
            type=_BATCH,
            default=8,
            show_default=True,
            help="Pictures in one inference.",
        ),
    )


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a video is read: the command gets ``policy``, ``hardware``, and ``live``, None to be as it is."""

    @wraps(command)
    def collected(
        *arguments: Any,
        max_latency_ms: float,
        stride: int,
        fps: float | None,
        start: float | None,
        end: float | None,
        **others: Any,
    ) -> Any:
        policy = Policy(max_latency_ms=max_latency_ms, stride=stride, fps=fps, start=start, end=end)
        return command(*arguments, policy=policy, **others)

    return _with(
        collected,
        click.option(
            "--live/--every-frame",
            "live",
            default=None,
            help="Keep up with the source and count drops, or make it wait.  [default: as the source]",
        ),
        click.option(
            "--max-latency-ms",
            type=click.FloatRange(min=0, min_open=True),
            default=_POLICY.max_latency_ms,
            show_default=True,
            help="With --live: from a frame's arrival to its score.",
        ),
        click.option(
            "--stride",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Score every n-th frame.",
        ),
        click.option(
            "--fps",
            type=click.FloatRange(min=0, min_open=True),
            help="Score at most so many frames a second of the clip's time.",
        ),
        click.option("--start", type=seconds, metavar="TIME", help="Begin here: seconds, or H:MM:SS.mmm."),
        click.option("--end", type=seconds, metavar="TIME", help="Stop before this."),
        click.option(
            "--hardware",
            default="auto",
            show_default=True,
            metavar="DEVICE",
            help="What decodes: auto, software, v4l2m2m, or a device type of FFmpeg (cuda, vaapi).",
        ),
    )


def pooling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a clip's scores become one; the command gets ``pooling``."""

    @wraps(command)
    def collected(*arguments: Any, pool: str, window: float, bad_below: float, **others: Any) -> Any:
        return command(*arguments, pooling=Pooling(pool, window, bad_below), **others)

    return _with(
        collected,
        click.option(
            "--pool",
            type=click.Choice(METHODS),
            default=_POOLING.method,
            show_default=True,
            help="What a clip's score is.",
        ),
        click.option(
            "--window",
            type=click.FloatRange(min=0, min_open=True),
            default=_POOLING.window,
            show_default=True,
            metavar="SECONDS",
            help="Length of the worst window.",
        ),
        click.option(
            "--bad-below",
            type=click.FloatRange(0, 100),
            default=_POOLING.bad_below,
            show_default=True,
            metavar="SCORE",
            help="Report the stretches of a clip below this.",
        ),
    )


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    """``command`` with ``options``, listed in their order."""
    for option in reversed(options):
        command = option(command)
    return command
