"""msgspec structs in the shape of a layout: what is no feature is passed over, and never becomes a Python object."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from detector.rows.paths import Layout, Path, Tree


class Leaf(NamedTuple):
    """How the feature at a place is declared: its type, and what stands for one that is absent, if one may be."""

    kind: Any
    default: Any = msgspec.NODEFAULT


def struct(node: Tree, leaf: Callable[[int], Leaf]) -> type[msgspec.Struct]:
    """A struct of what a tree of paths has under each name, in its order.

    An object in which every feature may be absent may be so too, but not null.
    """
    fields: list[Any] = []
    for index, inner in enumerate(node.values()):
        one = leaf(inner) if isinstance(inner, int) else _object(struct(inner, leaf))
        fields.append((f"f{index}", one.kind, one.default))
    rename = {f"f{index}": name for index, name in enumerate(node)}
    return msgspec.defstruct("Row", fields, rename=rename, gc=False, kw_only=True)


def _object(kind: type[msgspec.Struct]) -> Leaf:
    must = any(field.required for field in msgspec.structs.fields(kind))
    return Leaf(kind) if must else Leaf(kind, msgspec.field(default_factory=kind))


def flattened(layout: Layout) -> list[Callable[[Any], Any]]:
    """What makes the features of a layout's struct, in the schema's order, one function after the other."""
    outer, node = "", layout.root
    while len(node) == 1 and isinstance(inner := next(iter(node.values())), dict):
        outer, node = f"{outer}.f0".removeprefix("."), inner
    if not any(isinstance(inner, dict) for inner in node.values()):
        # All are in one object: a struct as a tuple is six times as fast as one name after the other.
        return ([attrgetter(outer)] if outer else []) + [msgspec.structs.astuple]
    return [attrgetter(*(_attribute(layout.root, path) for path in layout.paths))]


def _attribute(node: Tree, path: Path) -> str:
    """How Python spells a path through the structs of a tree."""
    names = []
    for name in path:
        names.append(f"f{list(node).index(name)}")
        inner = node[name]
        node = inner if isinstance(inner, dict) else {}
    return ".".join(names)


def field(path: Path) -> Callable[[bytes], Any]:
    """What decodes one field of an object and nothing else; None where it is absent; AttributeError behind a null."""
    kind: Any = Any
    for name in reversed(path):
        kind = msgspec.defstruct("Field", [("f0", kind | None, None)], rename={"f0": name}, gc=False)
    decode, get = msgspec.json.Decoder(kind).decode, attrgetter(".".join(["f0"] * len(path)))
    return lambda value: get(decode(value))
