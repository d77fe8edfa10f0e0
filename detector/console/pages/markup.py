"""HTML elements by their own names. What they hold is text: no page writes markup that came from Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from detector.console.shown import moment


def tag(name: str, text: str = "", classes: str = "", **attributes: Any) -> TextElement:
    """An element with text; attributes with an underscore for a hyphen, one behind a word that Python has: `for_`."""
    element = TextElement(tag=name, text=text)
    if classes:
        element.classes(classes)
    for key, value in attributes.items():
        element.props[key.rstrip("_").replace("_", "-")] = value
    return element


def link(text: str, href: str, classes: str = "", **attributes: Any) -> TextElement:
    """A link to a page of the console."""
    return tag("a", text, classes, href=href, **attributes)


def when(milliseconds: int) -> Callable[[], TextElement]:
    """A cell with a time, which stays on one line."""
    return partial(tag, "span", moment(milliseconds), "when")


def table(about: str, head: Sequence[str], rows: Iterable[Sequence[Any]], classes: str = "") -> None:
    """A table; a cell is text, or a function that fills it.

    In a narrow window each cell is led by its heading; of class `brief`, cells are beside each other without.
    """
    with tag("div", classes="scroll"), tag("table", classes=classes, aria_label=about):
        with tag("thead"), tag("tr"):
            for one in head:
                tag("th", one, scope="col")
        with tag("tbody"):
            for row in rows:
                _row(head, row)


def _row(head: Sequence[str], row: Sequence[Any]) -> None:
    with tag("tr"):
        for name, cell in zip(head, row, strict=True):
            if callable(cell):
                with tag("td", data_name=name):
                    cell()
            else:
                tag("td", str(cell), data_name=name)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and what they are."""
    with tag("dl", classes="facts"):
        for name, told in pairs:
            with tag("div"):
                tag("dt", name)
                tag("dd", told)


def empty(title: str, *sentences: str, command: str = "") -> None:
    """Why there is nothing, and what to do."""
    with tag("div", classes="empty"):
        tag("h2", title)
        for sentence in sentences:
            tag("p", sentence)
        if command:
            tag("code", command)


def picture(svg: str) -> None:
    """A drawing made of numbers by this program."""
    ui.html(svg, sanitize=False)
