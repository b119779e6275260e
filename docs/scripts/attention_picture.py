"""Draws docs/images/attention.svg from the pattern that the model itself uses: `python docs/scripts/attention_picture.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigbird.layers.attention.pattern import BlockPattern, random_blocks

FILE = Path(__file__).parents[1] / "images" / "attention.svg"
LENGTH, CELL = 2048, 9  # tokens; units of the drawing for a block
COLOURS = {"global": "#e07b39", "window": "#2a9d8f", "random": "#7c6bd6"}


def kinds(length: int) -> np.ndarray:
    """What each query block sees of each key block, in the first head of the first layer: "", or a key of COLOURS."""
    pattern = BlockPattern(num_heads=1)
    blocks = length // pattern.block_size
    seen = np.full((blocks, blocks), "", dtype="U6")
    for row, chosen in enumerate(random_blocks(pattern, length, layer=0)[0], start=1):
        seen[row, chosen] = "random"
        seen[row, row - 1 : row + 2] = "window"
    seen[:, [0, -1]] = seen[[0, -1], :] = "global"
    return seen


def drawing() -> str:
    """The picture: full attention beside BigBird's, with its legend."""
    seen = kinds(LENGTH)
    size = len(seen) * CELL
    left, right, top = 24, 24 + size + 60, 52
    width, height = right + size + 24, top + size + 76
    text = 'fill="var(--md-default-fg-color, #1f2933)" font-family="system-ui, sans-serif"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="var(--md-code-bg-color, #f5f5f5)"/>',
        f'<text x="{left}" y="34" font-size="15" font-weight="600" {text}>Full attention</text>',
        f'<text x="{right}" y="34" font-size="15" font-weight="600" {text}>BigBird</text>',
        f'<rect x="{left}" y="{top}" width="{size}" height="{size}" fill="#8a97a6"/>',
        f'<rect x="{right}" y="{top}" width="{size}" height="{size}" fill="none" stroke="#8a97a6"/>',
    ]
    for kind, colour in COLOURS.items():
        squares = "".join(
            f"M{right + column * CELL} {top + row * CELL}h{CELL - 1}v{CELL - 1}h-{CELL - 1}z"
            for row, column in np.argwhere(seen == kind)
        )
        lines.append(f'<path d="{squares}" fill="{colour}"/>')
    share = round(100 * (seen != "").mean())
    under = top + size + 24
    lines.append(f'<text x="{left}" y="{under}" font-size="13" {text}>every token sees every token</text>')
    lines.append(f'<text x="{right}" y="{under}" font-size="13" {text}>{share} % of the pairs of blocks</text>')
    legend = [("global", "first and last block"), ("window", "neighbours"), ("random", "three random blocks")]
    at = left
    for kind, meaning in legend:
        lines.append(f'<rect x="{at}" y="{under + 18}" width="12" height="12" fill="{COLOURS[kind]}"/>')
        lines.append(f'<text x="{at + 18}" y="{under + 29}" font-size="13" {text}>{meaning}</text>')
        at += 18 + 8 * len(meaning) + 24
    return "\n".join([*lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    FILE.write_text(drawing(), encoding="utf-8")
