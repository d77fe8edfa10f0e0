"""What is committed with a partition's offset, as its metadata, by who reads signals."""

from __future__ import annotations

import msgspec


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a partition's signals are cut, and the offset of the oldest sample that waits; None where none does."""

    window_samples: int
    sample_field: str
    index_field: str
    window_reach: int
    open: int | None = None

    def text(self) -> str:
        """As it is committed."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> Note | None:
        """The inverse of `text`; None for what is no note: other programs may commit what they like."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return None

    def same_cut(self, other: Note) -> bool:
        """Whether what was open in one is open in the other."""
        mine, theirs = ((one.window_samples, one.sample_field, one.index_field) for one in (self, other))
        return mine == theirs

    def __str__(self) -> str:
        return f"window_samples {self.window_samples} of {self.sample_field!r} by {self.index_field!r}"
