"""What is logged: events of stable names with stable fields, as text for people or as JSON for programs.

A line says what happened to the line of rows, never what a row holds.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"

INFO, WARNING, ERROR = "info", "warning", "error"
FEEDBACK = "rows labels waiting_rows waiting_labels model labelled precision recall f1 auroc average_precision"
"""From `model` on: of the last model, where a row of one was scored."""


class Event(NamedTuple):
    """What a line is about. fields: those that it has, in order."""

    level: str
    fields: str
    meaning: str


EVENTS: dict[str, Event] = {
    "started": Event(INFO, "model version sha256 threshold method metrics", "A detector is about to work."),
    "feedback_started": Event(INFO, "group metrics", "Feedback is about to work."),
    "console_started": Event(INFO, "console", "The console listens at this address."),
    "verdict": Event(INFO, "label by", "A person gave a verdict, and it is in its topic."),
    "partitions_assigned": Event(INFO, "partitions", "Partitions came, and their windows are made."),
    "partitions_revoked": Event(INFO, "partitions", "Partitions went to another member."),
    "loop_ended": Event(INFO, "rows alerts dead_letters seconds", "The loop ended; what this process committed."),
    "stopped": Event(INFO, "", "The process ends as it was asked to."),
    "model_ready": Event(INFO, "model version sha256 path", "A successor of the model was read and warmed up."),
    "model_taken_over": Event(INFO, "model version sha256", "It serves from here on."),
    "feedback": Event(INFO, FEEDBACK, "What was joined so far."),
    "feedback_ended": Event(INFO, FEEDBACK, "The same, at the end."),
    "drift": Event(WARNING, "kind name state above", "A feature, or the score, began to drift or is stable again."),
    "batch_failed": Event(WARNING, "why in_a_row doing", "A batch was aborted, or met no answer, and is read again."),
    "commit_failed": Event(WARNING, "why in_a_row doing", "A commit of feedback was aborted, and is tried again."),
    "consume_error": Event(WARNING, "error detail", "The client met an error, and goes on."),
    "broker_unavailable": Event(WARNING, "detail doing", "No broker answers."),
    "client_lost": Event(WARNING, "why doing", "A client that had lost its brokers, or stood still, was made anew."),
    "topic_unread": Event(WARNING, "topic why doing", "The console cannot read a topic."),
    "transaction_retried": Event(WARNING, "error doing", "A step of a transaction waits for a broker."),
    "schema_unknown": Event(WARNING, "number doing", "The registry does not know a schema that a row names."),
    "schemas_unknown": Event(WARNING, "count doing", "So many that no other is asked for."),
    "rows_expired": Event(ERROR, "partition start end why", "Retention removed rows before they were read."),
    "samples_expired": Event(ERROR, "partition start end", "It removed samples of rows that were open."),
    "records_expired": Event(ERROR, "topic partition start end", "It removed records before they were read."),
    "model_refused": Event(ERROR, "why still_served version", "A successor of the model cannot be served."),
    "shadow_failed": Event(ERROR, "model why", "The shadow model failed, and its rows are unscored."),
    "shadow_ended": Event(ERROR, "why", "It cannot go on beside a successor of the model."),
    "failed": Event(ERROR, "why code", "The process ends because of this."),
    "crashed": Event(ERROR, "error where", "It ends because of a bug."),
    "library": Event(INFO, "message", "A library says something, at a level of its own."),
}
"""Every line there is. Who watches may rely on names and fields."""

_PLAIN = re.compile(r"[^\s'\"=\\]+")
_TOLD = "told"
"""The attribute of a log record that has the fields."""


class _Style:
    """What `configure` chose."""

    json = False
    debug = False


class Logger:
    """Tells events. Its records are those of `logging`, so that levels and handlers are too."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, /, **fields: object) -> None:
        """See EVENTS."""
        self._tell(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """See EVENTS."""
        self._tell(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """See EVENTS."""
        self._tell(logging.ERROR, event, fields)

    def _tell(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        """Text for whoever handles the record, and the fields beside it."""
        if self._logger.isEnabledFor(level):
            told = {"event": event, **fields}
            self._logger.log(level, text(told), extra={_TOLD: told})


def logger(name: str) -> Logger:
    """A logger of events."""
    return Logger(name)


def text(event: Mapping[str, Any]) -> str:
    """`event field=value ...`: what is not one plain word stands in quotes, so that a line is one line."""
    return " ".join([str(event["event"]), *(f"{k}={_shown(v)}" for k, v in event.items() if k != "event")])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.isprintable()):
        return repr(value)
    return str(value)


def configure(style: str, level: str) -> None:
    """Sends what is logged to stderr. style: of FORMATS. level: of LEVELS, the least that is told."""
    _Style.json, _Style.debug = style == "json", level == "debug"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if _Style.json else _Text(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    sys.excepthook = _crashed


class _Text(logging.Formatter):
    """Lines for people. What an exception says may be a row's content: below debug only its kind and place are told."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as logging calls it
        if _Style.debug:
            return super().formatException(ei)
        return "".join([*traceback.format_list(traceback.extract_tb(ei[2])), ei[0].__name__])


class _Json(logging.Formatter):
    """Objects for programs. A library's own line has one name: what it says is a message for people."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, _TOLD, None) or {"event": "library", "message": record.getMessage()}
        moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        head = {"time": f"{moment}Z", "level": record.levelname.lower(), "logger": record.name}
        return json.dumps({**head, "event": told["event"], **told}, default=str)


def tell_failure(line: str, why: str, code: int) -> None:
    """The last word of a process: a line for a person, or an event where those are wanted."""
    if _Style.json:
        logger("detector").error("failed", why=why, code=code)
    else:
        print(line, file=sys.stderr, flush=True)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A bug: where it is, in whichever form; what the exception says may be a row's content, and is for debugging."""
    where = traceback.extract_tb(trace)
    if _Style.debug:
        traceback.print_exception(kind, error, trace)
    elif not _Style.json:
        print("".join(traceback.format_list(where)), file=sys.stderr, end="")
    last = where[-1] if where else None
    place = f"{last.filename}:{last.lineno} {last.name}" if last else ""
    logger("detector").error("crashed", error=kind.__name__, where=place)
