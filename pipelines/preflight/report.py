"""What `bigbird preflight` says, as text and as JSON. Every figure is an estimate of the compiler's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bigbird.config import ENCODER_KEY, BigBirdEncoderConfig
from bigbird.support.progress import format_duration
from bigbird_pipelines.machines import GIB
from bigbird_pipelines.preflight.job import RunEstimate
from bigbird_pipelines.preflight.programs import Program
from bigbird_pipelines.preflight.search import Largest

BASIS = "estimates of the TPU compiler, not measurements"
# Of the encoder, what says which model was compiled.
SIZES = ("num_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings")


@dataclass(frozen=True)
class Findings:
    """Everything that was found out of a step.

    Attributes:
        task, machine: their names.
        encoder: the model that was compiled.
        chips: of the machine.
        clock_hz: of one.
        chip_memory, usable: bytes of one, and those that a program can have.
        dtype: of the arithmetic.
        checkpointed: whether activations are computed again.
        batch: examples of a step, all chips together.
        length: tokens of each, padding included.
        lengths: how many padded lengths training may compile a step for, this one among them.
        program: the step of one chip.
        fits: whether it fits.
        job: the run; None where the step does not fit.
        largest: the largest batch of a chip; None where it was not looked for.
        programs: all that were compiled with these settings, the smallest batch first.
        with_checkpointing: where the step does not fit, the same one with gradient checkpointing.
    """

    task: str
    machine: str
    encoder: BigBirdEncoderConfig
    chips: int
    clock_hz: float
    chip_memory: int
    usable: int
    dtype: str
    checkpointed: bool
    batch: int
    length: int
    lengths: int
    program: Program
    fits: bool
    job: RunEstimate | None = None
    largest: Largest | None = None
    programs: Sequence[Program] = ()
    with_checkpointing: Program | None = None


def remedies(findings: Findings) -> list[str]:
    """What to change where the step does not fit; each was compiled and fits."""
    if findings.fits:
        return []
    found = []
    other = findings.with_checkpointing
    if other is not None and other.fits:
        found.append(
            f"--override {ENCODER_KEY}.use_gradient_checkpointing=true: compiled, it fits with "
            f"{_gib(other.memory)} a chip"
        )
    largest = findings.largest
    if largest is not None and largest.rows:
        found.append(f"--batch-size {largest.rows * findings.chips}: compiled, it fits ({largest.rows} a chip)")
    if not found and largest is None:
        return ["a smaller --batch-size, or leave out --no-search to look for the largest one"]
    return found or ["a shorter --max-length, or a smaller model: no batch that was tried fits"]


def not_included(findings: Findings) -> list[str]:
    """What the figures leave out."""
    program = findings.program
    notes = ["the input, validation, checkpoints, and the time that compiling takes on the machine"]
    if findings.chips > 1:
        what = f"{_gib(program.collective_bytes)} of " if program.collective_bytes else ""
        notes.append(f"the time in which the {findings.chips} chips sum {what}gradients")
    if program.without_estimate:
        runs = ", ".join(f"{count:,} of {kind}" for kind, count in sorted(program.without_estimate.items()))
        notes.append(f"instructions to which the compiler gives no cycles, by how often a step runs them: {runs}")
    if program.unknown_loops:
        notes.append(f"loops whose number of runs cannot be read: {program.unknown_loops}, counted as one run each")
    if findings.lengths > 1:
        notes.append(
            f"the other {findings.lengths - 1} padded lengths: every step counts as one of {findings.length:,} tokens, and "
            "the code of theirs takes memory too"
        )
    return notes


def as_json(findings: Findings) -> dict[str, Any]:
    """For programs: bytes, cycles, seconds; None for what is not known."""
    program, largest = findings.program, findings.largest
    found: dict[str, Any] = {
        "basis": BASIS,
        "task": findings.task,
        "machine": findings.machine,
        "chips": findings.chips,
        "model": {size: getattr(findings.encoder, size) for size in SIZES},
        "dtype": findings.dtype,
        "gradient_checkpointing": findings.checkpointed,
        "batch": {"global": findings.batch, "chip": program.rows, "length": findings.length},
        "fits": findings.fits,
        "memory": {
            **{
                name: getattr(program, name) for name in ("arguments", "outputs", "temporaries", "code") if program.fits
            },
            "total": program.memory,
            "chip": findings.chip_memory,
            "usable": findings.usable,
        },
        "cycles": program.cycles if program.fits else None,
        "collective_bytes": program.collective_bytes if program.fits else None,
        "run": asdict(findings.job) if findings.job else None,
        "largest_batch": None,
        "remedies": remedies(findings),
        "not_included": not_included(findings),
        "programs": [one.described() for one in findings.programs],
    }
    if largest is not None:
        found["largest_batch"] = {
            "global": largest.rows * findings.chips,
            "chip": largest.rows,
            "exact": largest.exact,
            "failing_chip": largest.failing,
        }
    return found


def print_report(findings: Findings) -> None:
    """Prints a table of the figures, what they leave out and, where the step does not fit, what to change."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=False, title=f"{findings.task} on {findings.machine}: {BASIS}")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(findings):
        table.add_row(name, value)
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    for remedy in remedies(findings):
        console.print(f"use {remedy}", markup=False)
    if findings.fits:
        console.print("not included:")
        for note in not_included(findings):
            console.print(f"  {note}", markup=False)


def _rows(findings: Findings) -> list[tuple[str, str]]:
    program, usable = findings.program, _gib(findings.usable)
    total = f"{'' if program.fits else 'at least '}{_gib(program.memory)}" if program.memory else "more"
    checkpointing = f"gradient checkpointing {'on' if findings.checkpointed else 'off'}"
    encoder = findings.encoder
    layers = f"{encoder.num_layers} layers of {encoder.hidden_size:,}, {encoder.num_attention_heads} heads"
    rows = [
        (
            "model",
            f"{layers}; a vocabulary of {encoder.vocab_size:,}, {encoder.max_position_embeddings:,} positions",
        ),
        (
            "step",
            f"{findings.batch:,} × {findings.length:,} tokens, {program.rows:,} a chip; {findings.dtype}, {checkpointing}",
        ),
        (
            "fits",
            f"{'yes' if findings.fits else 'NO'}: {total}; a program can have {usable} of a chip's {_gib(findings.chip_memory)}",
        ),
    ]
    if program.fits:
        rows += [
            ("  arguments", f"{_gib(program.arguments)}: weights, moments, batch; updated in place"),
            ("  outputs", f"{_gib(program.outputs)} that take no argument's place"),
            ("  temporaries", _gib(program.temporaries)),
            ("  code", _gib(program.code)),
        ]
        if program.collective_bytes:
            rows.append(("summed over chips", f"{_gib(program.collective_bytes)} a step, by each chip"))
    if findings.job is not None:
        rows += _job_rows(program, findings.job, findings.chips, findings.clock_hz)
    if findings.largest is not None:
        rows.append(("largest batch", _largest(findings.largest, findings.chips)))
        rows.append(("tokens/s by batch", _speeds(findings)))
    return rows


def _job_rows(program: Program, job: RunEstimate, chips: int, clock_hz: float) -> list[tuple[str, str]]:
    kernels = (program.without_estimate or {}).get("custom-call", 0)  # attention's, and what a SparseCore does
    left_out = f", without its {kernels:,} runs of kernels" if kernels else ""
    cycles = f"{program.cycles / 1e6:,.1f} million, {job.step_s * 1e3:,.1f} ms at {clock_hz / 1e9:g} GHz"
    rows = [
        ("cycles of a step", f"{cycles}{left_out}"),
        ("tokens/s", f"{job.tokens_per_s:,.0f}, padding included"),
    ]
    if job.steps is None or job.seconds is None:
        rows.append(("run", "not known: the recipe counts epochs; give --examples N or --dataset FOLDER"))
        return rows
    rows.append(("run", f"{job.steps:,} steps, {format_duration(job.seconds)}, {job.chip_hours:,.2f} chip-hours"))
    if job.price is not None:
        rows.append(("price of the run", f"{job.price:,.2f} USD, {chips} {'chip' if chips == 1 else 'chips'}"))
    return rows


def _largest(largest: Largest, chips: int) -> str:
    if not largest.rows:
        return "none that was tried fits"
    bound = "all that were tried fit" if largest.failing is None else f"{largest.failing} a chip do not fit"
    return f"{largest.rows} a chip, --batch-size {largest.rows * chips}; {bound}"


def _speeds(findings: Findings) -> str:
    """Tokens a second of every batch that was compiled: a larger one is not always the faster one."""
    return ", ".join(
        f"{one.rows} a chip {findings.chips * one.rows * findings.length * findings.clock_hz / one.cycles:,.0f}"
        for one in findings.programs
        if one.fits and one.cycles
    )


def _gib(size: int | None) -> str:
    return f"{(size or 0) / GIB:.2f} GiB"
