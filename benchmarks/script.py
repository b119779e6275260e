"""How a benchmark's command line ends: one message for a wrong input, 130 for Ctrl-C, nothing half-written."""

from __future__ import annotations

import sys

import click

from bigbird.support.commands import run_command


def run(command: click.Command) -> None:
    """Runs a script's command and exits the process, as the product's commands do."""

    def body() -> None:
        try:
            command(standalone_mode=False)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            raise KeyboardInterrupt from None

    run_command(body)
