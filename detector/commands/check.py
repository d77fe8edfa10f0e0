"""`python -m detector check`: what would stand in the way of `run`, and what to do about it."""

from __future__ import annotations

import json

from detector import settings
from detector.preflight import Finding, exit_code, look, needed

ABOUT = "look at broker, topics, ACLs, model, clock and port before a run"
DETAIL = """\
Looks at all that `run` with the same settings needs, and says of each whether it is well, and what to do where it is
not. It changes nothing; it begins to use one transactional id, GROUP.check. The exit code is that of the first thing
that failed, the one that `run` would have ended with; a warning changes it only with --strict, to 1."""
SETTINGS = settings.CheckSettings


def run(chosen: settings.CheckSettings) -> int:
    """Tells each finding as it comes; the exit code."""
    if chosen.acls:
        print("\n".join(one.command("User:NAME") for one in needed(chosen)))
        return 0
    findings = []
    for one in look(chosen):
        findings.append(one)
        print(json.dumps(one._asdict()) if chosen.json else text(one), flush=True)
    return exit_code(findings, chosen.strict)


def text(one: Finding) -> str:
    """A finding for people: what, and below it what to do."""
    code = f" [exit code {one.code}]" if one.code else ""
    line = f"{one.state:8} {one.subject}: {one.told}{code}"
    return f"{line}\n{'':8} do: {one.fix}" if one.fix else line
