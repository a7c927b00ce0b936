"""``crossiqa serve``: scores over HTTP, until it is told to stop."""

from __future__ import annotations

import click

from crossiqa_edge.cli.console import complain, ended_by_sigterm
from crossiqa_edge.cli.options import model_options, sampling_options
from crossiqa_edge.imaging.decode import MAX_PIXELS
from crossiqa_edge.runtime.scorer import Scorer


@click.command()
@model_options
@sampling_options()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one."
)
@click.option(
    "--max-batch",
    "batch",  # as tune's configurations call it
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Pictures in one inference.",
)
@click.option(
    "--max-wait-ms",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="How long a picture waits for others to share its inference.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=32 << 20,
    show_default=True,
    help="Longest body of a request.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures.",
)
@click.option(
    "--places",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Requests inside at once; one more gets 429.",
)
def command(
    model: str,
    backend: str,
    threads: int | None,
    sampling: str | None,
    views: int | None,
    host: str,
    port: int,
    batch: int,
    max_wait_ms: float,
    max_bytes: int,
    max_pixels: int,
    places: int,
) -> int:
    """Answer POST /v1/score with the score of the picture that it brings.

    Concurrent requests share inferences. GET /v1/model, /healthz and /metrics (Prometheus) tell about the
    server. It has neither encryption nor passwords: beyond this machine, put a proxy in front that has.

    \b
    Exit codes:
      0    stopped by Ctrl-C or SIGTERM, after what was inside had been answered
      2    could not start
    """
    from crossiqa_edge.serve.app import Limits
    from crossiqa_edge.serve.server import listen, serve, url

    limits = Limits(max_batch=batch, max_wait_ms=max_wait_ms, max_bytes=max_bytes, places=places)
    with (
        ended_by_sigterm(),
        listen(host, port) as listening,
        Scorer.load(
            model, backend=backend, threads=threads, sampling=sampling, views=views, max_pixels=max_pixels
        ) as scorer,
    ):
        told = f"serving {scorer.card.identity} on {url(listening)} ({scorer.backend.describe}); Ctrl-C stops"
        serve(scorer, listening, limits, lambda: complain(told))
    return 0
