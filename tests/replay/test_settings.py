"""What a replay can be told, and what it refuses to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detector import settings
from detector.errors import UsageError
from replay.pace import Speed
from replay.settings import PREFIX, Settings


def loaded(flags: dict[str, Any], environment: dict[str, str] | None = None) -> Settings:
    return settings.load(Settings, {"bootstrap_servers": "b:1", **flags}, PREFIX, environment or {})


def test_defaults() -> None:
    """Told nothing but the broker, rows go to `transactions` and labels to `labels`, as JSON, as fast as they can."""
    chosen = loaded({})
    assert (chosen.topic, chosen.labels_topic, chosen.format, chosen.pace) == (
        "transactions",
        "labels",
        "json",
        Speed(),
    )
    assert (chosen.limit, chosen.max_lead, chosen.timestamps, chosen.feature_names) == (0, 0, "now", ())


def test_file_environment_flag(tmp_path: Path) -> None:
    """A flag wins over the environment, and that over the file."""
    path = tmp_path / "replay.toml"
    path.write_text('speed = "1/s"\ntopic = "t"\nlimit = 3\n[kafka]\nsecurity.protocol = "ssl"\n')
    environment = {"REPLAY_CONFIG": str(path), "REPLAY_SPEED": "2/s", "REPLAY_TOPIC": "u"}
    chosen = loaded({"speed": "3/s"}, environment)
    assert (chosen.pace.rate, chosen.topic, chosen.limit) == (3, "u", 3)
    assert chosen.kafka == {"security.protocol": "ssl"}


def test_features_are_names() -> None:
    """Features are separated by commas; blanks beside them are nothing."""
    assert loaded({"features": " V1, V2 ,Amount,"}).feature_names == ("V1", "V2", "Amount")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"speed": "fast"}, "setting speed: 'fast' is no speed; max (no pace), N/s (rows a second), Kx"),
        ({"max_lead": "100"}, "settings max_lead and group go together"),
        ({"group": "g"}, "settings max_lead and group go together"),
        ({"max_lead": "-1", "group": "g"}, "--max-lead has value '-1', at least 0 wanted"),
        ({"limit": "many"}, "--limit has value 'many', a whole number wanted"),
        ({"format": "avro"}, "--format has value 'avro', one of json, packed wanted"),
        ({"timestamps": "then"}, "--timestamps has value 'then', one of now, original wanted"),
        ({"labels_topic": "transactions"}, "settings topic and labels_topic are both 'transactions'"),
        ({"features": "a,b,a"}, "setting features has value 'a,b,a', each name once wanted"),
        ({"bootstrap_servers": None}, "setting bootstrap_servers is missing: --bootstrap-servers or REPLAY_BOOTSTRAP"),
        ({"label_delay": "7"}, "setting label_delay: '7' is no delay; 7d, 36h, 90m"),
        ({"sample": "0"}, "setting sample has value 0.0, more than 0 wanted"),
        ({"sample": "1.5"}, "--sample has value '1.5', at most 1 wanted"),
        ({"between": "2020-01-01"}, "setting between has value '2020-01-01', T1/T2 wanted"),
        ({"between": "2020-01-02/2020-01-01"}, "an earlier and a later time wanted"),
        ({"between": "never/.."}, "setting between has value 'never', a time like"),
        ({"start_at": "soon"}, "setting start_at has value 'soon', a time like"),
        ({"metrics_port": "any"}, "setting metrics_port has value 'any', 0 to 65535 or none wanted"),
        ({"metrics_port": "70000"}, "setting metrics_port has value '70000', 0 to 65535"),
        ({"resume": "a", "skip": "1"}, "settings resume and skip do not go together"),
        ({"resume": "a", "resume_topic": "labels"}, "setting resume_topic has value 'labels', a topic of its own"),
        ({"partitioner": "mine"}, "--partitioner has value 'mine', one of murmur2_random"),
    ],
)
def test_refused(flags: dict[str, Any], sentence: str) -> None:
    """A wrong value is refused with its name, itself, and what is wanted."""
    with pytest.raises(UsageError) as raised:
        loaded(flags)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", (None, None)),
        ("10/20.5", (10_000, 20_500)),
        ("../1970-01-01T00:00:01Z", (None, 1_000)),
        ("1970-01-01/..", (0, None)),
    ],
)
def test_bounds(text: str, wanted: tuple[int | None, int | None]) -> None:
    """Event times are bounded by dates or seconds, or not at all on one side."""
    assert loaded({"between": text}).bounds == wanted


def test_what_is_asked_for_is_understood() -> None:
    """Delay, start and port are read from their texts."""
    chosen = loaded({"label_delay": "exp:2d", "start_at": "1970-01-01T00:00:02", "metrics_port": "0"})
    assert (chosen.delay.mean, chosen.delay.drawn, chosen.start_ms, chosen.port) == (172_800_000, True, 2_000, 0)
    assert (loaded({}).port, loaded({}).start_ms) == (None, None)


def test_a_dry_run_needs_no_broker() -> None:
    """Only what sends needs a broker."""
    assert settings.load(Settings, {"dry_run": True}, PREFIX, {}).bootstrap_servers == ""
