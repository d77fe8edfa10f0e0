"""Whether each row of a topic was answered for once: its alert or dead letter against what a detector makes of it.

Nothing that a detector says of itself is trusted: rows are scored again (`rerun`), alerts and dead letters are found
by the place that they name (`ledger`), and the two are held against each other (`comparison`). Two things are not
compared, as they may differ between two runs over one log: an alert's `detected_at`, and the sentence in a dead
letter's `errors.message`.
"""

from detector.audit.comparison import KINDS, Account, Audit, Finding, total
from detector.audit.ledger import ALERT, DEAD_LETTER, Ledger, alert_entry, dead_letter_entry
from detector.audit.rerun import Expected, Served, Span, Term, Witness, by_one, decides, rerun

__all__ = [
    "ALERT",
    "DEAD_LETTER",
    "KINDS",
    "Account",
    "Audit",
    "Expected",
    "Finding",
    "Ledger",
    "Served",
    "Span",
    "Term",
    "Witness",
    "alert_entry",
    "by_one",
    "dead_letter_entry",
    "decides",
    "rerun",
    "total",
]
