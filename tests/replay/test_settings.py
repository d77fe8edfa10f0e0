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
        ({"bootstrap_servers": None}, "setting bootstrap_servers is missing"),
    ],
)
def test_refused(flags: dict[str, Any], sentence: str) -> None:
    """A wrong value is refused with its name, itself, and what is wanted."""
    with pytest.raises(UsageError) as raised:
        loaded(flags)
    assert sentence in str(raised.value)
