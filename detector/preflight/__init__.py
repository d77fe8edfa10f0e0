"""What may stand in a detector's way, looked at before it is started: each with what to do, and an exit code."""

from detector.preflight.acls import Acl, needed
from detector.preflight.checks import look
from detector.preflight.findings import STATES, Finding, exit_code

__all__ = ["STATES", "Acl", "Finding", "exit_code", "look", "needed"]
