"""Settings: file < environment < flag, and errors that name the key, the value and the wish."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from detector.errors import UsageError
from detector.settings import Settings, TopicSettings, add_flags, default_text, flag, load, required, setting


@dataclass(frozen=True, kw_only=True)
class Toy:
    """One setting of each type."""

    text: str = setting("none", "some text, 100 %")
    path: Path = setting(Path("here"), "a path")
    perhaps: Path | None = setting(None, "a path or none")
    whole: int = setting(1, "a whole number", least=0)
    number: float = setting(1.5, "a number", least=-1.0)
    truth: bool = setting(False, "yes or no")
    choice: str = setting("red", "a colour", choices=("red", "green"))
    kafka: dict[str, str] = setting({}, "properties")


@dataclass(frozen=True, kw_only=True)
class Demanding:
    """A setting that must be said."""

    broker: str = required("who")


# By setting: what the file, the environment and the flag say, and what each means.
SAID: dict[str, list[tuple[Any, Any]]] = {
    "text": [('"file"', "file"), ("environment", "environment"), ("flag", "flag")],
    "path": [('"a/file"', Path("a/file")), ("/e", Path("/e")), ("f", Path("f"))],
    "perhaps": [('"a/file"', Path("a/file")), ("/e", Path("/e")), ("f", Path("f"))],
    "whole": [("7", 7), ("8", 8), ("0", 0)],
    "number": [("0.25", 0.25), ("-1e-3", -0.001), ("3", 3.0)],
    "truth": [("true", True), ("no", False), (True, True)],
    "choice": [('"green"', "green"), ("red", "red"), ("green", "green")],
}


def toy(tmp_path: Path, file: str = "", environment: dict[str, str] | None = None, **flags: Any) -> Toy:
    path = tmp_path / "toy.toml"
    path.write_text(file, encoding="utf-8")
    return load(Toy, {"config": str(path), **flags}, "TOY_", environment or {})


def parse(*arguments: str, cls: type[Any] = Toy) -> dict[str, Any]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(parser, cls, "TOY_")
    return vars(parser.parse_args(arguments))


@pytest.mark.parametrize("name", SAID)
def test_precedence(name: str, tmp_path: Path) -> None:
    """A flag wins over the environment, that over the file, that over the default, for a setting of every type."""
    (in_file, from_file), (in_environment, from_environment), (as_flag, from_flag) = SAID[name]
    file, environment = f"{name} = {in_file}", {f"TOY_{name.upper()}": in_environment}
    assert getattr(toy(tmp_path), name) == getattr(Toy(), name)
    assert getattr(toy(tmp_path, file), name) == from_file
    assert getattr(toy(tmp_path, file, environment), name) == from_environment
    assert getattr(toy(tmp_path, file, environment, **{name: as_flag}), name) == from_flag


def test_types_all_have_a_case() -> None:
    """Every type that a setting of the detector has is among those tried here."""
    assert {f.type for f in (*fields(Settings), *fields(TopicSettings))} <= {f.type for f in fields(Toy)}


def test_flags_of_the_command_line(tmp_path: Path) -> None:
    """Each setting has a flag; a switch has its opposite; what was not given is left to the others."""
    given = parse("--whole", "5", "--no-truth", "--kafka", "a.b=c=d", "--kafka", "e=")
    assert toy(tmp_path, "truth = true\nchoice = 'green'", **given | {"config": str(tmp_path / "toy.toml")}) == Toy(
        whole=5, choice="green", kafka={"a.b": "c=d", "e": ""}
    )
    assert parse("--truth")["truth"] is True
    assert parse()["truth"] is None


def test_kafka_properties(tmp_path: Path) -> None:
    """Properties come from all three places: a nested table, TOY_KAFKA_A_B and --kafka, each over the one before."""
    file = '[kafka]\n"flat.name" = "file"\nsasl.password = "file"\nsasl.username = "file"\nsocket.timeout.ms = 5\n'
    file += "enable.metrics.push = false\n"
    environment = {"TOY_KAFKA_SASL_PASSWORD": "environment", "TOY_KAFKA_SASL_USERNAME": "environment", "OTHER": "x"}
    assert toy(tmp_path, file, environment, kafka=["sasl.username=flag"]).kafka == {
        "flat.name": "file",
        "sasl.password": "environment",
        "sasl.username": "flag",
        "socket.timeout.ms": "5",
        "enable.metrics.push": "false",
    }


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("colour = 1", r"toy\.toml: unknown setting colour"),
        ("text =", r"toy\.toml: not TOML"),
        ("whole = 'x'", r"toy\.toml: whole has value 'x', a whole number wanted"),
        ("whole = 4.5", "whole has value 4.5, a whole number wanted"),
        ("whole = true", "whole has value True, a whole number wanted"),
        ("whole = [1]", r"whole has value \[1\], a whole number wanted"),
        ("whole = -1", "whole has value -1, at least 0 wanted"),
        ("number = 'x'", "number has value 'x', a number wanted"),
        ("number = nan", "number has value nan, a number wanted"),
        ("number = true", "number has value True, a number wanted"),
        ("number = -1.5", "number has value -1.5, at least -1.0 wanted"),
        ("truth = 'maybe'", "truth has value 'maybe', true or false wanted"),
        ("truth = 2", "truth has value 2, true or false wanted"),
        ("choice = 'blue'", "choice has value 'blue', one of red, green wanted"),
        ("path = 3", "path has value 3, a path wanted"),
        ("text = [1]", r"text has value \[1\], text wanted"),
        ("text = true", "text has value True, text wanted"),
        ("text = {a = 1}", "text has value {'a': 1}, text wanted"),
        ("kafka = 3", "kafka has a value that is no table"),
    ],
)
def test_wrong_in_the_file(file: str, wanted: str, tmp_path: Path) -> None:
    """A wrong value in the file is refused with file, key, value and what was wanted."""
    with pytest.raises(UsageError, match=wanted):
        toy(tmp_path, file)


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("TOY_WHOLE", "x", "TOY_WHOLE has value 'x', a whole number wanted"),
        ("TOY_WHOLE", "", "TOY_WHOLE has value '', a whole number wanted"),
        ("TOY_WHOLE", "1.5", "TOY_WHOLE has value '1.5', a whole number wanted"),
        ("TOY_NUMBER", "much", "TOY_NUMBER has value 'much', a number wanted"),
        ("TOY_NUMBER", "inf", "TOY_NUMBER has value 'inf', a number wanted"),
        ("TOY_TRUTH", "perhaps", "TOY_TRUTH has value 'perhaps', true or false wanted"),
        ("TOY_CHOICE", "blue", "TOY_CHOICE has value 'blue', one of red, green wanted"),
    ],
)
def test_wrong_in_the_environment(variable: str, value: str, wanted: str, tmp_path: Path) -> None:
    """A wrong value in the environment is refused with variable, value and what was wanted."""
    with pytest.raises(UsageError, match=wanted):
        toy(tmp_path, environment={variable: value})


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ({"whole": "x"}, "--whole has value 'x', a whole number wanted"),
        ({"choice": "blue"}, "--choice has value 'blue', one of red, green wanted"),
        ({"kafka": ["novalue"]}, "--kafka wants KEY=VALUE, 'novalue' has no value"),
        ({"kafka": ["=x"]}, "--kafka wants KEY=VALUE"),
    ],
)
def test_wrong_flags(flags: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    """A wrong flag is refused with its name, value and what was wanted."""
    with pytest.raises(UsageError, match=wanted):
        toy(tmp_path, **flags)


@pytest.mark.parametrize("word", ["1", "true", "YES", "On"])
def test_truths(word: str, tmp_path: Path) -> None:
    """A truth may be said in the usual words, in any case."""
    assert toy(tmp_path, environment={"TOY_TRUTH": word}).truth is True


def test_the_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    """TOY_CONFIG names the file, and --config one that wins over it; a file that is not there is named."""
    for name in ("first", "second"):
        (tmp_path / name).write_text(f"text = '{name}'")
    environment = {"TOY_CONFIG": str(tmp_path / "first")}
    assert load(Toy, {}, "TOY_", environment).text == "first"
    assert load(Toy, {"config": str(tmp_path / "second")}, "TOY_", environment).text == "second"
    with pytest.raises(UsageError, match="absent: No such file"):
        load(Toy, {"config": str(tmp_path / "absent")}, "TOY_", {})


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """A file of other bytes is refused as no TOML."""
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        load(Toy, {"config": str(tmp_path / "x")}, "TOY_", {})


def test_a_setting_that_must_be_said() -> None:
    """A missing setting without a default is named as flag and as variable."""
    with pytest.raises(UsageError, match="setting broker is missing: --broker or TOY_BROKER"):
        load(Demanding, {}, "TOY_", {})
    assert load(Demanding, {}, "TOY_", {"TOY_BROKER": "b"}).broker == "b"


def test_help_names_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of every setting gives its default and its variable."""
    for cls in (Toy, Demanding, Settings, TopicSettings):
        with pytest.raises(SystemExit):
            parse("--help", cls=cls)
        text = " ".join(capsys.readouterr().out.split())
        for f in fields(cls):
            assert flag(f) in text
            assert f"[TOY_{f.name.upper()}]" in text
            assert default_text(f) in text
        assert "100 %" in text or cls is not Toy
    assert default_text(fields(Demanding)[0]) == "required"


def detector_settings(**given: Any) -> Settings:
    return load(Settings, {"model": "m", "bootstrap_servers": "b:1", **given}, "DETECTOR_", {})


def test_defaults_of_the_detector() -> None:
    """All but model and brokers have defaults, and those are allowed values; dead letters go beside the input."""
    chosen = detector_settings()
    assert (chosen.model, chosen.bootstrap_servers) == (Path("m"), "b:1")
    assert chosen.dead_letters_topic == "transactions.dead-letters"
    assert detector_settings(input_topic="rows").dead_letters_topic == "rows.dead-letters"
    assert detector_settings(dead_letters_topic="bin").dead_letters_topic == "bin"
    unsaid = (MISSING, None, "")
    said = [f for f in fields(Settings) if f.default not in unsaid and f.type not in ("bool", "dict[str, str]")]
    assert detector_settings(**{f.name: str(f.default) for f in said}) == chosen


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"threshold": "often"}, "threshold 'often' is none of"),
        ({"window": "100"}, r"min_rows has value 256, at most window \(100\) wanted"),
        ({"max_batch": "0"}, "--max-batch has value '0', at least 1 wanted"),
        ({"format": "xml"}, "--format has value 'xml', one of json, packed, avro wanted"),
        ({"delivery": "twice"}, "one of exactly_once, at_least_once wanted"),
        (
            {"window_samples": "9", "window_reach": "8"},
            r"window_reach has value 8, at least window_samples \(9\) wanted",
        ),
        (
            {"window_samples": "9", "sample_field": "sample"},
            "index_field has value 'sample', another than sample_field",
        ),
        ({"window_samples": "9", "field": ["a=b"]}, "setting field goes with rows; window_samples has sample_field"),
    ],
)
def test_wrong_settings_of_the_detector(given: dict[str, Any], wanted: str) -> None:
    """What the detector cannot run with is refused before it starts."""
    with pytest.raises(UsageError, match=wanted):
        detector_settings(**given)


def test_min_rows_of_the_window() -> None:
    """A window of just min_rows is allowed, and any threshold method."""
    chosen = detector_settings(window="256", threshold="running-mad:3.5")
    assert (chosen.window, chosen.threshold) == (256, "running-mad:3.5")


def test_topics_of_the_line() -> None:
    """The topics to make are those that the detector takes by the same settings, and the labels; none is left out."""
    chosen = load(TopicSettings, {"bootstrap_servers": "b:1"}, "DETECTOR_", {})
    run = detector_settings()
    others = [run.models_topic, run.drift_topic]
    assert chosen.names() == [
        run.input_topic,
        run.alerts_topic,
        run.dead_letters_topic,
        "labels",
        *others,
        "scores",
        "feedback",
    ]
    unwanted = dict.fromkeys((f"{one}_topic" for one in ("labels", "models", "drift", "scores", "feedback")), "none")
    given = {"bootstrap_servers": "b:1", "input_topic": "rows", **unwanted}
    assert load(TopicSettings, given, "DETECTOR_", {}).names() == ["rows", "alerts", "rows.dead-letters"]
