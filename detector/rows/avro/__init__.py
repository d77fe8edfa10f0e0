"""Avro rows, read column by column: every step of a schema is taken for all rows of a batch at once."""

from detector.rows.avro.reader import AvroRows, Registry
from detector.rows.avro.types import Written

__all__ = ["AvroRows", "Registry", "Written"]
