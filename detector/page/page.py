"""The page: one HTML file that needs nothing else, and runs nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from detector.page.content import Picture, Section, Table

HERE = Path(__file__).parent


def render(title: str, mark: str, facts: Mapping[str, str], figures: Table, sections: Sequence[Section]) -> str:
    """The page's HTML. mark: a meta element of our own that tells what kind of report it is. All the rest is escaped;
    nothing may be loaded, and no script run."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    css = (HERE / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return environment.from_string((HERE / "page.html").read_text("utf-8")).render(
        title=title,
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        mark=mark,
        css=css,
        facts=facts,
        figures=figures,
        sections=sections,
        uri=data_uri,
    )


def data_uri(picture: Picture) -> str:
    """A picture inside a page."""
    return f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
