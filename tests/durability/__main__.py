"""Runs the trials: `python -m tests.durability --seed 1`. About an hour on two cores with the default counts."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from tests.durability import damage, trials
from tests.durability.workplace import Workplace

PARTS = ("kills", "twice", "full", "damage")


@click.command()
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@click.option("--kills", default=25, show_default=True, help="Of each stage.")
@click.option("--twice", "pairs", default=20, show_default=True, help="Pairs of starts at once, of each stage.")
@click.option("--full", default=50, show_default=True, help="Disks that fill, over all stages.")
@click.option("--flips", default=20, show_default=True, help="Flipped bits of each kind of file.")
@click.option("--cuts", default=10, show_default=True, help="Cuts of each kind of file.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="These parts alone; repeatable.")
@click.option("--stage", "stages", multiple=True, help="These stages alone; repeatable.")
@click.option("--jobs", default=2, show_default=True, help="Trials side by side.")
def main(
    seed: int,
    kills: int,
    pairs: int,
    full: int,
    flips: int,
    cuts: int,
    only: tuple[str, ...],
    stages: tuple[str, ...],
    jobs: int,
) -> None:
    """Kills, damage, full disks and second starts; ends with 1 where something did not hold."""
    parts = only or PARTS
    with tempfile.TemporaryDirectory(prefix="durability-") as name:
        place = Workplace(Path(name))
        click.echo(f"seed {seed}; running every stage once, unbroken")
        place.prepare()
        chosen = [stage for stage in place.stages.values() if not stages or stage.name in stages]
        failed = 0
        if "kills" in parts:
            for stage in chosen:
                failed += _repeat(
                    f"kill {stage.name}", kills, seed, jobs, place, lambda r, t, s=stage: trials.kill(place, s, r, t)
                )
        if "twice" in parts:
            for stage in chosen:
                failed += _repeat(
                    f"two {stage.name}",
                    pairs,
                    seed,
                    max(1, jobs // 2),
                    place,
                    lambda r, t, s=stage: trials.twice(place, s, r, t),
                )
        if "full" in parts:
            if not trials.can_mount(place.folder / "mount"):
                click.echo("NOT RUN: full disks, as this user may not mount a small one")
                failed += 1
            else:
                each = -(-full // len(chosen))
                for stage in chosen:
                    failed += _repeat(
                        f"full disk, {stage.name}",
                        each,
                        seed,
                        jobs,
                        place,
                        lambda r, t, s=stage: trials.full_disk(place, s, r, t),
                    )
        if "damage" in parts:
            for kind in damage.KINDS:
                failed += _repeat(
                    f"flip {kind}",
                    flips,
                    seed,
                    1,
                    place,
                    lambda r, t, k=kind: damage.damage(place.reference, k, r, t, cut=False),
                )
                failed += _repeat(
                    f"cut {kind}",
                    cuts,
                    seed,
                    1,
                    place,
                    lambda r, t, k=kind: damage.damage(place.reference, k, r, t, cut=True),
                )
    click.echo(f"{failed} trials did not hold" if failed else "everything held")
    sys.exit(1 if failed else 0)


def _repeat(
    what: str, times: int, seed: int, jobs: int, place: Workplace, trial: Callable[[random.Random, Path], list[str]]
) -> int:
    """Runs a trial so many times and prints a line; gives how many went wrong."""
    started = time.monotonic()

    def one(number: int) -> list[str]:
        return trial(
            random.Random(f"{seed} {what} {number}"), place.folder / "trials" / f"{what} {number}".replace(" ", "-")
        )

    (place.folder / "trials").mkdir(exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(one, range(times)))
    wrong = {number: problems for number, problems in enumerate(results) if problems}
    click.echo(f"{what}: {times - len(wrong)} of {times} held, {time.monotonic() - started:.0f} s")
    for number, problems in list(wrong.items())[:5]:
        for problem in problems:
            click.echo(f"    trial {number}: {problem}")
    return len(wrong)


if __name__ == "__main__":
    main()
