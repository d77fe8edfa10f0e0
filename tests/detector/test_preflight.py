"""The preflight's judgement, of facts that are made up."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from detector.__main__ import main
from detector.artifact import Artifact
from detector.commands.check import text
from detector.errors import BrokerUnavailable, Failure, ModelRefused, PortInUse, TopicMissing
from detector.kafka.inquiry import TopicFacts
from detector.preflight import Acl, Finding, checks, clock, exit_code, look, needed
from detector.preflight.topics import judged, judged_group
from detector.settings import Settings
from tests.messages import FakeMessage

READ = [Acl("topic", "rows", "Read")]
GOOD = TopicFacts(4, 0, 3, 3, frozenset({"READ", "DESCRIBE"}), False, {"min.insync.replicas": "2"})


def states(facts: TopicFacts) -> list[tuple[str, int]]:
    """State and exit code of each finding about a topic that is to be read."""
    return [(one.state, one.code) for one in judged("rows", facts, READ)]


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (GOOD, [("ok", 0)]),
        (GOOD._replace(may=frozenset({"ALL"})), [("ok", 0)]),
        (GOOD._replace(may=frozenset({"DESCRIBE"})), [("failed", BrokerUnavailable.code)]),
        (TopicFacts(0, denied=True), [("failed", BrokerUnavailable.code)]),
        (TopicFacts(0), [("failed", TopicMissing.code)]),
        (GOOD._replace(leaderless=1), [("failed", BrokerUnavailable.code)]),
        (GOOD._replace(in_sync=1), [("failed", Failure.code)]),
        (GOOD._replace(replicas=1, in_sync=1, config={}), [("warning", 0)]),
        (GOOD._replace(config={"cleanup.policy": "compact,delete"}), [("ok", 0), ("warning", 0)]),
    ],
)
def test_a_topic(facts: TopicFacts, wanted: list[tuple[str, int]]) -> None:
    """What keeps a detector from working fails with the code that it would end with; what is unwise is a warning."""
    assert states(facts) == wanted


def test_every_bad_finding_says_what_to_do() -> None:
    """Nothing fails or warns without a word on what to do about it."""
    bad = [
        GOOD._replace(may=frozenset()),
        TopicFacts(0),
        GOOD._replace(in_sync=0),
        GOOD._replace(replicas=1, in_sync=1),
    ]
    assert all(one.fix for facts in bad for one in judged("rows", facts, READ) if one.state != "ok")
    assert "--operation Read --topic rows" in next(judged("rows", GOOD._replace(may=frozenset()), READ)).fix


def test_a_group() -> None:
    """A group that may not be joined fails; one with a member for each partition already is told."""
    acl = [Acl("group", "g", "Read")]
    assert [one.state for one in judged_group("g", frozenset(), 0, acl, 4)] == ["failed"]
    assert [one.state for one in judged_group("g", frozenset({"READ"}), 3, acl, 4)] == ["ok"]
    assert [one.state for one in judged_group("g", frozenset({"READ"}), 4, acl, 4)] == ["warning"]


def test_exit_codes() -> None:
    """The first thing that failed decides; a warning counts where that is asked for."""
    fine, unwise = Finding("ok", "a", ""), Finding("warning", "b", "", "do")
    first, second = Finding("failed", "c", "", "do", 5), Finding("failed", "d", "", "do", 4)
    assert exit_code([fine, unwise]) == 0
    assert exit_code([fine, unwise], strict=True) == 1
    assert exit_code([unwise, first, second], strict=True) == 5


def test_a_finding_as_text() -> None:
    """State, subject, what was found and the code; below it what to do."""
    shown = text(Finding("failed", "topic rows", "it is gone", "make it", 5))
    assert shown == "failed   topic rows: it is gone [exit code 5]\n         do: make it"


def test_the_least_acls() -> None:
    """What is needed follows the settings: what is not written to, or not used, asks for nothing."""
    told: dict[str, Any] = {"model": Path("m"), "bootstrap_servers": "b"}
    whole = needed(Settings(**told))
    assert [one for one in whole if one.resource == "transactional-id"] == [
        Acl("transactional-id", "detector.", "Write", prefixed=True)
    ]
    least = needed(Settings(**told, models_topic="none", drift_topic="none", delivery="at_least_once"))
    assert {one.name for one in least} == {"transactions", "detector", "alerts", "transactions.dead-letters"}
    assert Acl("topic", "scores", "Write") in needed(Settings(**told, scores_topic="scores"))


def test_acls_as_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """--acls prints arguments of kafka-acls.sh, one line each, without asking any broker."""
    assert main(["check", "--model", "m", "--bootstrap-servers", "b", "--group", "a b", "--acls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(needed(Settings(model=Path("m"), bootstrap_servers="b")))
    assert "--add --allow-principal User:NAME --operation Read --group 'a b'" in lines


def test_no_broker(artifact_dir: Path) -> None:
    """Model and port are looked at even where no broker answers; what needs one is skipped, and said to be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        settings = Settings(model=artifact_dir, bootstrap_servers=address, connect_seconds=0.2, metrics_port=0)
        found = {one.subject.split()[0]: one for one in look(settings)}
    assert found["model"].state == found["port"].state == "ok"
    assert (found["broker"].state, found["broker"].code) == ("failed", BrokerUnavailable.code)
    assert found["topics,"].state == "skipped"


def test_model_and_port(tmp_path: Path) -> None:
    """A model that is not there, and a port that is taken, fail with the codes of `run`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(
            model=tmp_path / "nothing", bootstrap_servers="127.0.0.1:1", connect_seconds=0.2, metrics_port=port
        )
        found = list(look(settings))
    assert [one.code for one in found if one.code] == [ModelRefused.code, PortInUse.code, BrokerUnavailable.code]
    assert exit_code(found) == ModelRefused.code


def test_rows_of_the_model(cards_artifact: Artifact) -> None:
    """The newest rows are decoded as they would be; what is none is counted by reason."""
    from detector.serving import Serving

    serving = Serving.of(cards_artifact)
    bad = [FakeMessage(b"no row", ("t", 0, 0)), FakeMessage(None, ("t", 0, 1))]
    found = checks._understood(serving, bad)
    assert found.state == "warning"
    assert "2 of the newest 2 are no rows of this model: not_json 1, empty 1" in found.told


@pytest.mark.parametrize(("ahead", "state"), [(-3600, "ok"), (1, "ok"), (60, "warning")])
def test_rows_of_the_future(ahead: float, state: str) -> None:
    """Rows that happen later than now are a clock's fault."""
    now = 1_700_000_000.0
    message = FakeMessage(b"", ("t", 0, 0), int((now + ahead) * 1000))
    assert checks._in_time([message], lambda: now).state == state


def test_the_kernels_clock() -> None:
    """On Linux the kernel tells of its clock; elsewhere nobody is asked."""
    found = clock.kernel_clock()
    assert (found is not None) == (sys.platform == "linux")
    assert found is None or found.error_seconds >= 0
    assert checks._clock(None).state == "skipped"
    assert checks._clock(clock.Clock(True, 0.01)).state == "ok"
    assert checks._clock(clock.Clock(False, 16.0)).state == "warning"
