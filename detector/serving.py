"""All that a model brings into the loop, so that it is swapped at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detector.artifact import Artifact
from detector.errors import ModelRefused, UsageError
from detector.model import Model
from detector.rows import Decoder
from detector.schema import Schema
from detector.threshold import Line


@dataclass(frozen=True, slots=True)
class Serving:
    """A loaded artifact with its network ready to score, its line and the decoder of its rows."""

    artifact: Artifact
    model: Model
    line: Line
    decoder: Decoder

    @classmethod
    def of(cls, artifact: Artifact, threshold: str = "", decoder: Callable[[Schema], Decoder] = Decoder) -> Serving:
        """Builds and warms the network; ModelRefused where it cannot be served, UsageError where no line is found.

        threshold: a method that overrides the artifact's own, or empty. decoder: makes the decoder of a schema's rows,
        or says by ValueError why it cannot.
        """
        try:
            line, rows = artifact.line(threshold), decoder(artifact.schema)
        except ValueError as error:
            raise UsageError(str(error)) from error
        model = artifact.model()
        model.warm()
        return cls(artifact, model, line, rows)

    @property
    def seal(self) -> str:
        """The sha256 of the manifest: two artifacts of one seal are the same, threshold and all."""
        return str(self.artifact.manifest["sha256"])

    def refuse_successor(self, other: Serving) -> None:
        """ModelRefused where another model cannot follow this one on the same topic.

        Packed rows have no names: a model of other columns would read them as what they are not. Where rows name
        their values, a successor may want others.
        """
        mine, theirs = self.artifact.schema, other.artifact.schema
        if self.decoder.default_format != "packed":
            return
        if (mine.features, mine.categories, mine.booleans) != (theirs.features, theirs.categories, theirs.booleans):
            raise ModelRefused(
                f"model {other.artifact.path}: packed rows have no names, and its features are not those of "
                f"{self.artifact.name.name} version {self.artifact.name.version}; start a detector with it"
            )
