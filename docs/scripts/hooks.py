"""What mkdocs calls while it builds the site: pages of other folders, generated parts, drawings in the page's colours."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import generated

ROOT = Path(__file__).parents[2]
_DRAWING = re.compile(r'<img alt="([^"]*)" src="[^"]*?(images/[\w-]+\.svg)" ?/?>')


def on_files(files: Files, *, config: Any) -> Files:
    """Adds the picture of a page that is taken from another folder."""
    files.append(File.generated(config, "reference/results.png", abs_src_path=str(ROOT / "benchmarks" / "results.png")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills in what a comment names: `<!-- generated: commands -->`, or `<!-- file: CHANGELOG.md -->`."""
    markdown = re.sub(r"<!-- generated: (\w+) -->", lambda found: generated.PARTS[found[1]](), markdown)
    return re.sub(r"<!-- file: (\S+) -->", lambda found: _text_of(found[1]), markdown)


def _text_of(name: str) -> str:
    """A file without its title. Its links are those of the repository's first folder; the pages stand two below."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](../", text.partition("\n")[2])


def on_page_content(html: str, **_: Any) -> str:
    """Puts drawings into the page itself, where they take its colours, light or dark."""

    def inline(found: re.Match[str]) -> str:
        drawing = (ROOT / "docs" / found[2]).read_text(encoding="utf-8")
        drawing = re.sub(r"<\?xml[^>]*>|<!--.*?-->", "", drawing, flags=re.DOTALL).strip()
        label = f'class="drawing" role="img" aria-label="{found[1]}"'
        return drawing.replace("<svg ", f"<svg {label} ", 1)

    return _DRAWING.sub(inline, html)
