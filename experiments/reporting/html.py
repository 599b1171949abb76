"""Pieces of an HTML page; whatever comes from a run goes through `text`."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image

from gan.compression.report import markdown
from gan.errors import printable

UNKNOWN = "Not recorded."


def text(value: object) -> str:
    """Anything as HTML text: markup is escaped, and what acts instead of showing is spelled out."""
    return escape(printable(str(value)))


def lines(content: str) -> str:
    """Text of several lines, as it stands."""
    return f"<pre>{chr(10).join(map(text, content.splitlines()))}</pre>"


def paragraph(content: object, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{text(content)}</p>"


def section(title: str, parts: Iterable[str]) -> str:
    """A section with its heading; "" without parts."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(title)}</h2>\n{inside}\n</section>" if inside else ""


def facts(pairs: Mapping[str, object]) -> str:
    """Names and values; those that are "" or None are left out."""
    rows = (
        f"<dt>{text(name)}</dt><dd>{text(value)}</dd>"
        for name, value in pairs.items()
        if value not in ("", None)
    )
    return f"<dl>\n{chr(10).join(rows)}\n</dl>"


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table; the first cell of a row names it, the others are numbers to the right."""
    top = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    body = "\n".join(
        f'<tr><th scope="row">{text(first)}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    title = f"<caption>{text(caption)}</caption>\n" if caption else ""
    return (
        f'<div class="wide"><table>\n{title}<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def details(summary: str, content: str) -> str:
    """What is shown once it is asked for."""
    return f"<details><summary>{text(summary)}</summary>\n{content}\n</details>"


def uri(content: bytes, kind: str = "png") -> str:
    """An image as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def chart(source: str, size: tuple[int, int], alt: str) -> str:
    """A plot, on white, as large as matplotlib meant it.

    Args:
        source: its address, see `uri`.
        size: width and height in pixels, 1.5 for each of a page.
        alt: what it shows.
    """
    width, height = (round(side / 1.5) for side in size)
    return f'<img class="chart" alt="{text(alt)}" width="{width}" height="{height}" src="{source}">'


def plot(png: bytes, alt: str) -> str:
    """A PNG of matplotlib's."""
    with Image.open(io.BytesIO(png)) as image:
        return chart(uri(png), image.size, alt)


def picture(source: str, size: tuple[int, int], alt: str, caption: str) -> str:
    """A small picture that fills the window once it is chosen, by mouse or keyboard.

    Args:
        source: its address, see `uri`.
        size: width and height in pixels.
        alt: what it shows.
        caption: the line below it.
    """
    return (
        f'<figure><label><input type="checkbox" aria-label="Full size: {text(alt)}">'
        f'<img alt="{text(alt)}" width="{size[0]}" height="{size[1]}" src="{source}"></label>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def row(figures: Iterable[str]) -> str:
    """Pictures side by side; "" without any."""
    inside = "\n".join(figures)
    return f'<div class="row">\n{inside}\n</div>' if inside else ""


def plain(record: Mapping[str, Any]) -> dict[str, str]:
    """A flat record's values as a reader wants them: numbers in thousands, lists by commas."""
    return {name: markdown.flat(value) for name, value in record.items()}
