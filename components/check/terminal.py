"""A check's findings as a short table on the terminal."""

from __future__ import annotations

import click

from bigbird.manifests import CheckManifest
from bigbird_components.check.wording import counted, lengths_line


def print_findings(manifest: CheckManifest) -> None:
    """Prints the findings, the most severe first; without the package rich as plain lines."""
    splits = ", ".join(f"{split} {rows:,}" for split, rows in manifest.splits.items())
    head = [
        f"{manifest.rows:,} rows ({splits}); {len(manifest.labels):,} labels"
        if manifest.labels
        else f"{manifest.rows:,} rows ({splits})"
    ]
    head.append(lengths_line(manifest))
    rows = [
        (each.severity, each.check, counted(each), each.examples[0].place if each.examples else "")
        for each in manifest.found()
    ]
    click.echo("\n".join(head))
    if not rows:
        click.echo(f"nothing found by {len(manifest.findings)} checks")
        return
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ModuleNotFoundError:  # an image of a step has no terminal
        click.echo("\n".join("  ".join(filter(None, row)) for row in rows))
        return
    table = Table(box=box.SIMPLE, pad_edge=False)
    colours = {"error": "bold red", "warning": "yellow", "note": "cyan"}
    for name in ("severity", "check"):
        table.add_column(name, no_wrap=True)
    table.add_column("found", overflow="fold")
    table.add_column("first", overflow="fold")
    for severity, check, found, first in rows:
        table.add_row(Text(severity, colours[severity]), Text(check), Text(found), Text(first))
    Console(highlight=False).print(table)
