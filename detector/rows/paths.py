"""Where in a row each feature is: under its own name, or along a path of names that lead into nested objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from detector.schema import Schema, readable

Path = tuple[str, ...]
"""The names that lead to a value, from the outermost on."""

Tree = dict[str, Union["Tree", int]]
"""The paths of the features, laid over each other: under a name the feature's place, or a tree of what is in it."""


def path(text: str) -> Path:
    """The path that a text like `payload.v1` spells; dots always part names. ValueError where it spells none."""
    steps = tuple(text.split("."))
    if not all(steps):
        raise ValueError(f"path {text!r} has an empty name in it")
    if not readable(text):
        raise ValueError(f"path {text!r}: names without quotes, backslashes and control characters are wanted")
    return steps


def paths(features: Sequence[str], fields: Mapping[str, str]) -> tuple[Path, ...]:
    """The path of each feature: the one that `fields` spells for it, else its own name, whatever dots are in that.

    ValueError where a name of `fields` is no feature or a path is none.
    """
    if unknown := sorted(set(fields) - set(features)):
        raise ValueError(f"field {unknown[0]!r} is no feature of the model")
    return tuple(path(fields[name]) if name in fields else (name,) for name in features)


def tree(found: Sequence[Path]) -> Tree:
    """The paths laid over each other; ValueError where two features are at one path, or one is inside another."""
    root: Tree = {}
    for place, (*outer, last) in enumerate(found):
        node: Tree | int = root
        for name in outer:
            node = node.setdefault(name, {}) if isinstance(node, dict) else node
        if not isinstance(node, dict) or last in node:
            raise ValueError(f"path {'.'.join(found[place])!r} leads to, or through, another feature")
        node[last] = place
    return root


def leaves(node: Tree | int) -> Iterator[int]:
    """The places of all features in a tree."""
    if isinstance(node, int):
        yield node
    else:
        for inner in node.values():
            yield from leaves(inner)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a row holds and where: a schema, and in its order the path of each feature."""

    schema: Schema
    paths: tuple[Path, ...]
    root: Tree

    @classmethod
    def of(cls, schema: Schema, fields: Mapping[str, str] | None = None) -> Layout:
        """The layout of rows whose features are under their names, but for those that `fields` has a path for.

        ValueError where a path is none, or leads to or through another feature.
        """
        found = paths(schema.features, fields or {})
        return cls(schema, found, tree(found))

    @property
    def flat(self) -> bool:
        """Whether no feature is inside another object."""
        return all(len(one) == 1 for one in self.paths)

    def absent(self, place: int) -> str:
        """Says that the feature of this place is not there."""
        name, found = self.schema.features[place], self.paths[place]
        return f"feature {name!r} is absent" + ("" if found == (name,) else f": no {'.'.join(found)!r}")
