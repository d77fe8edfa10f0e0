"""TLS, mTLS, SASL and ACLs, against a broker that insists on them; and secrets that stay secret."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from detector import artifact
from detector.preflight import Acl, needed
from detector.settings import Settings
from tests.broker import create_topic
from tests.guarded import PASSWORD, USER, Authority, Guarded, guarded
from tests.integration.conftest import Cards
from tests.integration.line import (
    Running,
    Topics,
    alerts_of,
    detector_command,
    make_topics,
    read_committed,
    send,
)
from tests.integration.test_detector import messages, oracle, scores_by_row

ROWS = 2_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Apache Kafka, which wants to know who asks."""
    with guarded(tmp_path_factory.mktemp("guarded")) as found:
        yield found


@dataclass(frozen=True)
class Access:
    """A way to a guarded broker: its address, the client's properties, and who the broker takes the client for."""

    address: str
    kafka: Mapping[str, str]
    principal: str
    secret: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> list[str]:
        """As flags; secrets are for the environment."""
        pairs = [text for name, value in self.kafka.items() for text in ("--kafka", f"{name}={value}")]
        return ["--bootstrap-servers", self.address, *pairs]

    def environment(self) -> dict[str, str]:
        """The test's own, and the secrets."""
        names = {f"DETECTOR_KAFKA_{name.upper().replace('.', '_')}": value for name, value in self.secret.items()}
        return {**os.environ, **names}


def tls(broker: Guarded) -> dict[str, str]:
    """The properties of any client that trusts the broker."""
    return {"security.protocol": "SSL", "ssl.ca.location": str(broker.ca)}


def mtls(broker: Guarded, folder: Path) -> Access:
    """By a certificate."""
    certificate, key = broker.authority.issue("detector-by-certificate").write(folder, "client")
    own = {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key)}
    return Access(broker.tls, {**tls(broker), **own}, "User:CN=detector-by-certificate")


def scram(broker: Guarded, folder: Path) -> Access:
    """By a password, which is nowhere but in the environment."""
    own = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": USER}
    return Access(broker.sasl, {**tls(broker), **own}, f"User:{USER}", {"sasl.password": PASSWORD})


def oauth(broker: Guarded, folder: Path) -> Access:
    """By a token, which the client makes itself here: the broker's unsecured validator reads it."""
    own = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "enable.sasl.oauthbearer.unsecure.jwt": "true",
        "sasl.oauthbearer.config": "principal=detector-by-token",
    }
    return Access(broker.sasl, {**tls(broker), **own}, "User:detector-by-token")


Way = Callable[[Guarded, Path], Access]
WAYS: list[Way] = [mtls, scram, oauth]


def acls(topics: Topics, model: Path, **more: str) -> list[Acl]:
    """What the documentation says a detector on these topics must be allowed."""
    names = {"input_topic": topics.input, "alerts_topic": topics.alerts, "dead_letters_topic": topics.dead}
    names |= {"models_topic": topics.models, "drift_topic": topics.drift, "group": topics.name, **more}
    return needed(Settings(model=model, bootstrap_servers="", **names))  # type: ignore[arg-type]


def ended(command: list[str], access: Access) -> tuple[int, str]:
    """The exit code of a command, and all that it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=access.environment())
    return done.returncode, done.stdout + done.stderr


def run(topics: Topics, cards: Cards, access: Access, *more: str) -> tuple[int, str]:
    """A detector over what there is."""
    return ended([*detector_command(topics, cards.model), *access.options(), "--until-end", *more], access)


def check(topics: Topics, cards: Cards, access: Access) -> tuple[int, list[dict[str, str]]]:
    """The preflight's exit code, and what it found wrong."""
    command = [*detector_command(topics, cards.model), *access.options(), "--json"]
    command[command.index("run")] = "check"
    code, said = ended(command, access)
    return code, [one for one in map(json.loads, said.splitlines()) if one["state"] == "failed"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_exactly_the_least(cards: Cards, broker: Guarded, tmp_path: Path, way: Way) -> None:
    """With the ACLs that are listed and no others, a detector reads, alerts and commits; `check` is content."""
    topics, access = make_topics(broker.bootstrap), way(broker, tmp_path)
    broker.allow(access.principal, acls(topics, cards.model))
    sent = messages(cards, ROWS, "json", topics.partitions)
    # Once with a second run, which reads the log back: that is allowed too.
    for part in (sent[: ROWS // 2], sent[ROWS // 2 :]) if way is scram else (sent,):
        send(broker.bootstrap, topics.input, part)
        code, wrong = check(topics, cards, access)
        assert (code, wrong) == (0, []), wrong
        code, said = run(topics, cards, access)
        assert code == 0, said
    line = artifact.load(cards.model).threshold.value
    wanted = {str(row): score for row, score in enumerate(oracle(cards, ROWS).tolist()) if score > line}
    assert wanted
    assert scores_by_row(alerts_of(topics)) == wanted


def test_least_with_scores(cards: Cards, broker: Guarded, tmp_path: Path) -> None:
    """A topic of scores is one more to write to; at least once needs no transactional id."""
    topics, access = make_topics(broker.bootstrap), scram(broker, tmp_path)
    send(broker.bootstrap, topics.input, messages(cards, ROWS, "json", topics.partitions))
    scores = f"{topics.name}.scores"
    create_topic(broker.bootstrap, scores, topics.partitions)
    own = acls(topics, cards.model, scores_topic=scores, delivery="at_least_once")
    assert not [one for one in own if one.resource == "transactional-id"]
    broker.allow(access.principal, own)
    code, said = run(topics, cards, access, "--delivery", "at_least_once", "--scores-topic", scores)
    assert code == 0, said
    assert len(read_committed(broker.bootstrap, scores)) > 0


@pytest.mark.long
@pytest.mark.parametrize("place", range(8))
def test_each_is_needed(cards: Cards, broker: Guarded, tmp_path: Path, place: int) -> None:
    """Without any one of them `check` names it with what allows it, and a detector that needs it now does not run."""
    topics, access = make_topics(broker.bootstrap), scram(broker, tmp_path)
    whole = acls(topics, cards.model)
    assert len(whole) == 8
    left_out = whole[place]
    broker.allow(access.principal, [one for one in whole if one != left_out])
    code, wrong = check(topics, cards, access)
    assert code == 4
    assert [one for one in wrong if left_out.command("User:NAME") in one["fix"]]
    if left_out.operation != "DescribeConfigs":  # it is asked for where a message is too large
        code, said = run(topics, cards, access)
        assert code in (4, 5), said
        assert len([one for one in said.splitlines() if one.startswith("error: ")]) == 1


def test_an_authority_that_is_not_trusted(cards: Cards, broker: Guarded, tmp_path: Path) -> None:
    """A broker whose certificate another authority signed is not talked to; 4, and the reason."""
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().certificate)
    topics, access = make_topics(broker.bootstrap), mtls(broker, tmp_path)
    wrong = Access(access.address, {**access.kafka, "ssl.ca.location": str(other)}, access.principal)
    code, said = run(topics, cards, wrong, "--connect-seconds", "1")
    assert code == 4
    assert "certificate verify failed" in said.lower() or "_SSL" in said


def test_a_wrong_password(cards: Cards, broker: Guarded, tmp_path: Path) -> None:
    """Credentials that the broker refuses are told as such, without them; 4."""
    topics, access = make_topics(broker.bootstrap), scram(broker, tmp_path)
    wrong = Access(access.address, access.kafka, access.principal, {"sasl.password": "wrong-" + PASSWORD})
    code, said = run(topics, cards, wrong, "--connect-seconds", "1")
    assert code == 4
    assert "uthentication" in said
    assert PASSWORD not in said


@contextmanager
def at_work(topics: Topics, cards: Cards, access: Access, *more: str) -> Iterator[Running]:
    """A detector that runs on."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in access.environment().items():
            patch.setenv(name, value)
        detector = Running([*detector_command(topics, cards.model), *access.options(), *more])
    try:
        yield detector
    finally:
        detector.close()


def test_the_planted_secret(cards: Cards, broker: Guarded, tmp_path: Path) -> None:
    """A password from the environment, or a file, is in no log line (debug too), metric, record or manifest."""
    topics, access = make_topics(broker.bootstrap), scram(broker, tmp_path)
    broker.allow(access.principal, acls(topics, cards.model))
    send(broker.bootstrap, topics.input, messages(cards, ROWS, "json", topics.partitions))
    send(broker.bootstrap, topics.input, [(b"no row", 0, [])])
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f'[registry]\n"basic.auth.user.info" = "someone:{PASSWORD}"\n')
    with at_work(topics, cards, access, "--config", str(secrets), "--log-level", "debug") as detector:
        detector.await_line("partitions_assigned")
        told = [detector.scrape(path) for path in ("/metrics", "/healthz", "/readyz")]
        assert detector.kill(15) == 0
        told.append(detector.log())
    for topic in (topics.alerts, topics.dead, topics.models, topics.drift):
        told += [repr((one.key(), one.value(), one.headers())) for one in read_committed(broker.bootstrap, topic)]
    told += [path.read_bytes().decode(errors="replace") for path in cards.model.iterdir()]
    assert len(told) > 10
    assert not [one for one in told if PASSWORD in one]


def test_check_keeps_the_secret(cards: Cards, broker: Guarded, tmp_path: Path) -> None:
    """Nor does `check` say it, where it works and where it does not."""
    topics, access = make_topics(broker.bootstrap), scram(broker, tmp_path)
    command = [*detector_command(topics, cards.model), *access.options()]
    command[command.index("run")] = "check"
    code, said = ended(command, access)
    assert code == 4  # no ACL is given
    assert PASSWORD not in said
