"""Command line of the serving container."""

from __future__ import annotations

from typing import Any

import click

from bigbird.support.commands import run_command
from bigbird_components.command_line import Command


def _route(_: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.startswith("/") or set(value) & set("{}?#"):
        raise click.BadParameter(f"{value!r} is no path; expected for example {parameter.default}")
    return value


@click.command(cls=Command, epilog="bigbird serve --model runs/NAME")
@click.option(
    "--model",
    envvar="AIP_STORAGE_URI",
    required=True,
    show_envvar=True,
    help="Folder of a SavedModel or of a run, here or as gs://BUCKET/FOLDER or s3://BUCKET/FOLDER.",
)
@click.option(
    "--host",
    envvar="BIGBIRD_HOST",
    default="127.0.0.1",
    show_default=True,
    show_envvar=True,
    help="Address to listen on; the image sets the variable to all.",
)
@click.option(
    "--port",
    envvar="AIP_HTTP_PORT",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    show_envvar=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--health-route",
    envvar="AIP_HEALTH_ROUTE",
    default="/health",
    show_default=True,
    show_envvar=True,
    callback=_route,
    help="Answers 200 when the model is ready, 503 before and while stopping.",
)
@click.option(
    "--predict-route",
    envvar="AIP_PREDICT_ROUTE",
    default="/predict",
    show_default=True,
    show_envvar=True,
    callback=_route,
    help="Takes the requests.",
)
@click.option(
    "--max-batch", type=click.IntRange(1), default=16, show_default=True, help="Most examples of one call of the model."
)
@click.option(
    "--max-delay-ms",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="Longest that a request waits for companions.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Most examples that wait; requests beyond them get 429.",
)
@click.option(
    "--max-instances", type=click.IntRange(1), default=128, show_default=True, help="Most instances of one request."
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(1),
    default=1_500_000,
    show_default=True,
    help="Longest request; Vertex AI's own limit by default.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    show_default="1000, or what the limit of open files allows",
    help="Most connections; beyond them those that sent half a request make room, or new ones get 503.",
)
@click.option(
    "--header-s",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds for a request's header to arrive; then 408.",
)
@click.option(
    "--body-s",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds for its body to arrive, then 408, and for its answer to be taken.",
)
@click.option(
    "--grace-s",
    type=click.IntRange(1),
    default=25,
    show_default=True,
    help="Seconds to answer what was accepted, after SIGTERM or Ctrl-C.",
)
@click.option("--access-log", is_flag=True, help="Log each request's status and time.")
def main(**options: Any) -> None:
    """Serves an exported model over HTTP, as a custom container of Vertex AI does."""
    if options["max_instances"] > options["max_queue"]:
        raise click.UsageError("--max-instances is above --max-queue; a request of as many would never be taken")
    if options["health_route"] == options["predict_route"]:
        raise click.UsageError("--health-route and --predict-route are the same; expected two paths")

    def command() -> None:
        from bigbird_components.serve.serve import ServeSettings, serve

        serve(ServeSettings(**options))

    run_command(command)


if __name__ == "__main__":
    main()
