"""What breaks are called, and what is no break."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detector import settings
from detector.errors import UsageError
from detector.rows import REASONS
from replay.inject.faults import FAULTS
from replay.inject.scenarios import SCENARIOS, main, understood
from replay.inject.spec import KINDS, Point, Spec, Stretch, parse
from replay.settings import PREFIX, Settings


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "drift:V14:+1sd:from=50%",
            Spec("", "drift", Stretch(first=Point(share=0.5)), ("V14",), 1.0, deviations=True),
        ),
        ("drift:a, b:-2.5:ramp=1h", Spec("", "drift", Stretch(ramp=Point(after=3_600_000)), ("a", "b"), -2.5)),
        ("drift:a:b:1e3", Spec("", "drift", features=("a:b",), amount=1000.0)),
        ("scale:all:0.5x", Spec("", "scale", features=("all",), amount=0.5)),
        ("missing:Amount:5%", Spec("", "missing", features=("Amount",), amount=0.05)),
        (
            "fraud-burst:10x:from=2h:for=10m",
            Spec("", "fraud-burst", Stretch(Point(after=7_200_000), length=Point(after=600_000)), amount=10.0),
        ),
        ("duplicate:1%:to=25%", Spec("", "duplicate", Stretch(end=Point(share=0.25)), amount=0.01)),
        ("corrupt:0.1%", Spec("", "corrupt", amount=0.001)),
        ("corrupt:100%:not_json", Spec("", "corrupt", amount=1.0, fault="not_json")),
        ("delay:1%:5m", Spec("", "delay", amount=0.01, milliseconds=300_000)),
        ("reorder:250ms", Spec("", "reorder", milliseconds=250)),
        (
            "silence:2m:from=1970-01-01T00:00:01Z",
            Spec("", "silence", Stretch(Point(time=1000)), milliseconds=120_000),
        ),
        ("burst:20x:from=0s:for=10%", Spec("", "burst", Stretch(Point(after=0), length=Point(share=0.1)), amount=20.0)),
    ],
)
def test_understood(text: str, wanted: Spec) -> None:
    """Each kind is read from its text: what, by how much, and where."""
    found = parse(text)
    assert found == replace(wanted, text=text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("drfit:V14:1", "kind 'drfit', one of drift, scale, missing, fraud-burst, duplicate, corrupt, delay, reorder"),
        ("nothing", "kind 'nothing', one of drift"),
        ("drift:V14", "drift:FEATURES:SHIFT[:from=...][:to=...][:for=...][:ramp=...] wanted"),
        ("corrupt:1%:not_json:2", "corrupt:SHARE[:FAULT][:from=...][:to=...][:for=...] wanted"),
        ("drift:V14:much", "shift 'much', +1sd, -0.5sd or a number but 0 wanted"),
        ("drift:V14:0", "shift '0', "),
        ("drift:V14:nan", "shift 'nan', "),
        ("drift:V14,V14:1", "features 'V14,V14', names, comma-separated and each once, or all wanted"),
        ("drift:all,V14:1", "features 'all,V14'"),
        ("drift:,:1", "features ','"),
        ("scale:V1:10", "factor '10', a factor such as 10x wanted"),
        ("fraud-burst:1x", "times '1x', a factor above 1 such as 10x wanted"),
        ("missing:V1:0%", "share '0%', a share above 0% and up to 100% wanted"),
        ("missing:V1:101%", "share '101%'"),
        ("duplicate:half", "share 'half'"),
        ("delay:1%:exp:2d", "delay:SHARE:DURATION"),
        ("delay:1%:5", "duration '5', a duration (30s, 10m, 2h, 7d) wanted"),
        ("reorder:0s", "duration '0s'"),
        ("corrupt:1%:broken_window", "fault 'broken_window', one of empty, too_large, unknown_format, not_utf8"),
        ("drift:V1:1:from=soon", "from 'soon', a share of the history (50%), a duration (30s, 10m, 2h, 7d) from its"),
        ("drift:V1:1:from=", "from '', a share"),
        ("drift:V1:1:for=2026-11-23", "for '2026-11-23', a share of the history (10%) or a duration"),
        ("drift:V1:1:from=120%", "from '120%'"),
        ("drift:V1:1:from=1h:from=2h", "option 'from=2h', each once of from=, to=, for=, ramp= wanted"),
        ("scale:V1:2x:ramp=1h", "option 'ramp=1h', each once of from=, to=, for= wanted"),
        ("silence:2m:for=1m", "option 'for=1m', each once of from= wanted"),
        ("drift:V1:1:to=1h:for=1h", "options 'to, for', one of them wanted"),
        ("drift:V1:1:from=50%:to=50%", "to '50%', a later point than from wanted"),
        ("drift:V1:1:to=0%", "to '0%', a later point than from wanted"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    """A text that is no break is refused with itself, the part that is wrong, its value, and what is wanted."""
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert str(raised.value).startswith(f"setting inject has value {text!r}")
    assert sentence in str(raised.value)


def test_every_kind_has_an_example() -> None:
    """The example of each kind is one of it; each fault is a reason that the detector gives."""
    for name, kind in KINDS.items():
        assert parse(kind.example).kind == name
        assert kind.form.count(":") == len(kind.parts)
    assert FAULTS.keys() < REASONS.keys()


def test_scenarios() -> None:
    """A scenario's name stands for its breaks, beside others; each is a break, and no kind is called like one."""
    assert SCENARIOS.keys().isdisjoint(KINDS)
    for name, one in SCENARIOS.items():
        assert [spec.text for spec in understood([name])] == list(one.specs)
    assert {spec.kind for name in SCENARIOS for spec in understood([name])} == KINDS.keys()
    assert [spec.text for spec in understood(["outage", "duplicate:2%"])] == ["silence:2m:from=50%", "duplicate:2%"]
    with pytest.raises(UsageError, match="has value 'duplicate:5%' twice, each once wanted"):
        understood(["retries", "duplicate:5%"])


def test_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m replay scenarios` tells each one's name, its breaks and what to expect."""
    assert main([]) == 0
    text = capsys.readouterr().out
    for name, one in SCENARIOS.items():
        assert f"{name}: {one.about}\n" in text
        assert all(spec in text for spec in one.specs)
        assert one.expect.replace("`", "") in text


def test_repeated() -> None:
    """The setting is a flag more than once, a list of the file, or a variable with ; between."""
    base = {"dry_run": True}
    assert settings.load(Settings, base | {"inject": ["retries", "reorder:1s"]}, PREFIX, {}).inject == (
        "retries",
        "reorder:1s",
    )
    found = settings.load(Settings, base, PREFIX, {"REPLAY_INJECT": "retries; drift:a,b:1 ;"})
    assert found.inject == ("retries", "drift:a,b:1")
    assert [spec.kind for spec in found.injections] == ["duplicate", "drift"]
    assert settings.load(Settings, base, PREFIX, {}).inject == ()
    with pytest.raises(UsageError, match="setting inject has value 'drift:V14:much'"):
        settings.load(Settings, base | {"inject": ["drift:V14:much"]}, PREFIX, {})
