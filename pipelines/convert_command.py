"""`bigbird convert`: a checkpoint of any kind as another, and what became of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from bigbird.support.tensorflow_start import load_tensorflow


def convert_command(source: str, output: Path, to: Any, **options: Any) -> None:
    """Converts and prints what was read, what was written, what was left out or repeated, and how to use it.

    Args:
        source, output, to: as `convert` takes them.
        options: its others, by name.

    Raises:
        InputError: no checkpoint at `source`, settings that do not fit it, or an output that is in use.
    """
    load_tensorflow()
    from bigbird.checkpoints.convert import convert

    done = convert(source, str(output), to, **options)
    encoder = done.encoder
    click.echo(
        f"{source}: {done.source}, {encoder.num_layers} layers, hidden {encoder.hidden_size}, {encoder.num_attention_heads} "
        f"heads, {encoder.max_position_embeddings} positions, {encoder.type_vocab_size} token types, blocks of "
        f"{encoder.block_size}, {encoder.num_rand_blocks} random ones"
    )
    for name in done.left_out:
        click.echo(f"  {name}: has no place in a {to} checkpoint, left out")
    for note in done.notes:
        click.echo(f"  {note}")
    click.echo(
        f"wrote {done.weights} weights to {output}; use it as task.init_checkpoint={shlex.quote(str(done.checkpoint))}"
    )
