"""Messages to rows and back, by format. Bad input is data: it becomes a Reject."""

from detector.rows.avro import Registry, Written
from detector.rows.decoder import FORMATS, Decoder, Rows
from detector.rows.json_rows import encode_json
from detector.rows.messages import (
    FORMAT_HEADER,
    MAX_NAME_BYTES,
    ROW_ID_HEADER,
    UNREADABLE,
    Batch,
    Headless,
    Message,
    Parts,
    header,
    parted,
    text,
)
from detector.rows.packed import encode_packed
from detector.rows.refusals import REASONS, Refusal, Reject
from detector.rows.samples import Cutter
from detector.rows.signals import SignalDecoder
from detector.rows.values import to_float32

__all__ = [
    "FORMATS",
    "FORMAT_HEADER",
    "MAX_NAME_BYTES",
    "REASONS",
    "ROW_ID_HEADER",
    "UNREADABLE",
    "Batch",
    "Cutter",
    "Decoder",
    "Headless",
    "Message",
    "Parts",
    "Refusal",
    "Registry",
    "Reject",
    "Rows",
    "SignalDecoder",
    "Written",
    "encode_json",
    "encode_packed",
    "header",
    "parted",
    "text",
    "to_float32",
]
