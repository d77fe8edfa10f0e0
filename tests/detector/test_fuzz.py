"""Whatever messages come, the pure line scores the rows as each is scored alone, and says of the others why not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector import table
from detector.artifact import Artifact
from detector.detection import build_alerts, judge
from detector.model import Model
from detector.records import alert_records, reject_records
from detector.rows import REASONS, Decoder, Message, Written
from tests.arrays import f32
from tests.conftest import real
from tests.fuzz import ANYTHING, HEADERS, JSON_VALUES, KEYS, TIMES, VALUES, Material, giants, hostile, joined, writers
from tests.messages import FakeMessage
from tests.straight_line import Shape, StraightLine, low_line, plain
from tests.straight_reading import letter_of, straight_letter

SHAPE = Shape(window=4096, stride=1 << 40, min_rows=4096)
"""Statistics that never come into force: what is held here is a row's own part of an alert."""

ELSEWHERE = {"not_a_category", "not_an_index", "repeated_sample", "broken_window"}
"""The reasons for which a model of numbers has no use, and those that samples have."""

texts = st.sampled_from(["format", "row-id", "errors.reason", "x"]) | st.text(st.characters(codec="utf-8"), max_size=3)
contents = st.none() | st.sampled_from([b"json", b"packed", b"avro", b"xml"]) | st.binary(max_size=4)
marks = st.none() | st.sampled_from(HEADERS) | st.lists(st.tuples(texts, contents), max_size=4)
keys = st.none() | st.binary(max_size=4) | st.sampled_from(KEYS)
tokens = st.one_of(
    st.sampled_from([*ANYTHING, *JSON_VALUES]),
    st.floats(width=32).map(lambda one: json.dumps(one).encode()),
    st.integers().map(lambda one: b"%d" % one),
    st.text().map(lambda one: json.dumps(one).encode()),
    st.recursive(st.none() | st.booleans() | st.floats(), st.lists, max_leaves=5).map(
        lambda one: json.dumps(one).encode()
    ),
)


@pytest.fixture(scope="module")
def line(cards_artifact: Artifact, cards_model: Model) -> StraightLine:
    low, schemas = low_line(cards_artifact, running=False), writers(cards_artifact.schema.features)
    return StraightLine(cards_artifact, cards_model, low, SHAPE, writers=schemas)


@pytest.fixture(scope="module")
def decoder(line: StraightLine) -> Decoder:
    schemas = line.writers or {}
    registry = {number: Written(schema) for number, schema in schemas.items()}.get
    return Decoder(line.artifact.schema, registry=registry)


@pytest.fixture(scope="module")
def material(cards_artifact: Artifact, unseen_rows: NDArray[np.float32]) -> Material:
    return Material.of(cards_artifact.schema.features, unseen_rows)


def hold(line: StraightLine, batch: Sequence[Message], decoder: Decoder) -> Counter[str]:
    """Holds a batch against its messages read one by one; how many there were of each reason, of rows and of alerts."""
    alone = [line.read(message) for message in batch]
    wanted = [(message, *found) for message, found in zip(batch, alone, strict=True) if not isinstance(found, str)]
    refused = [(message, found) for message, found in zip(batch, alone, strict=True) if isinstance(found, str)]
    rows, rejects = decoder.decode(batch)
    assert len(rows) == len(wanted)
    assert [(id(one.message.value()), one.reason) for one in rejects] == [(id(m.value()), why) for m, why in refused]
    assert [id(message) for message in rows.messages] == [id(message) for message, _, _ in wanted]
    assert np.array_equal(rows.matrix, [row for _, row, _ in wanted] or rows.matrix)
    assert rows.offset.tolist() == [message.offset() for message, _, _ in wanted]
    scores = line.model.score(rows.matrix)
    assert scores.tobytes() == f32([score for _, _, score in wanted]).tobytes()
    verdicts = judge(rows, scores, line.line, lambda _: SHAPE.statistics())
    alerts = build_alerts(rows, verdicts, line.model, line.artifact, "now")
    straight = [alert for message, _, _ in wanted if (alert := line.alert(message, [])) is not None]
    assert [plain(alert) for alert, _ in alerts] == straight
    records = alert_records(alerts, "alerts")
    assert [json.loads(record.value or b"")["id"] for record in records] == [alert["id"] for alert in straight]
    letters = [letter_of(record.key, record.value, record.headers) for record in reject_records(rejects, "dead", None)]
    assert letters == [straight_letter(message, why) for message, why in refused]
    return Counter([why for _, why in refused]) + Counter({"rows": len(wanted), "alerts": len(alerts)})


def fuzz(
    line: StraightLine, decoder: Decoder, material: Material, seed: int, count: int
) -> tuple[Counter[str], Counter[str]]:
    """So many hostile messages in batches of 1 to 4,096; how many there were of each outcome, and of each kind."""
    chance = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    source = hostile(material, seed, count)
    for some in batches(source, chance):
        kinds += Counter(kind for kind, _ in some)
        outcomes += hold(line, [message for _, message in some], decoder)
    return outcomes, kinds


def batches(
    source: Iterable[tuple[str, FakeMessage]], chance: np.random.Generator
) -> Iterator[list[tuple[str, FakeMessage]]]:
    """What comes, cut at random: as many small batches as large ones."""
    coming = iter(source)
    while some := list(islice(coming, int(2 ** chance.uniform(0, 12)))):
        yield some


def assert_all_met(outcomes: Counter[str], kinds: Counter[str], count: int) -> None:
    """Every kind was tried, every reason was given, rows and alerts were among them; nothing went unaccounted for."""
    assert kinds.keys() == {kind.__name__ for _, kind in VALUES}
    assert outcomes.keys() == {"rows", "alerts", *REASONS} - ELSEWHERE
    assert sum(outcomes.values()) - outcomes["alerts"] == count
    assert outcomes["rows"] > 0.3 * count
    assert outcomes["alerts"] > 0.05 * count


@given(st.data())
def test_any_messages(line: StraightLine, decoder: Decoder, material: Material, data: st.DataObject) -> None:
    """Any bytes, or a row with anything in place of some numbers, under any key, headers and time."""
    spoiled = st.dictionaries(st.sampled_from(material.names), tokens, max_size=3)
    rows = st.tuples(st.sampled_from(material.numbers), spoiled).map(
        lambda both: joined((dict(zip(material.names, both[0], strict=True)) | both[1]).items())
    )
    values = st.one_of(rows, rows, st.none() | st.binary(max_size=200), st.sampled_from(material.packed), tokens)
    places = st.tuples(st.just("transactions"), st.integers(0, 2), st.integers(0, (1 << 63) - 1))
    messages = st.builds(FakeMessage, values, places, st.sampled_from(TIMES), keys, marks)
    batch = data.draw(st.lists(messages, min_size=1, max_size=6))
    hold(line, sorted(batch, key=lambda message: message.offset()), decoder)


def test_hostile_messages(line: StraightLine, decoder: Decoder, material: Material) -> None:
    """20,000 hostile messages among simulated rows: each is scored, or refused, as it is alone."""
    assert_all_met(*fuzz(line, decoder, material, 1, 20_000), 20_000)


def test_hostile_messages_among_real_rows(line: StraightLine, decoder: Decoder) -> None:
    """The same among real card transactions."""
    frame = table.read(real("creditcard_sample.parquet"))
    features = line.artifact.schema.features
    source = Material.of(features, table.matrix(frame, features)[:5000])
    assert_all_met(*fuzz(line, decoder, source, 2, 5_000), 5_000)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_million_hostile_messages(line: StraightLine, decoder: Decoder, material: Material, seed: int) -> None:
    """A million of them, in ten parts."""
    assert_all_met(*fuzz(line, decoder, material, 1000 + seed, 100_000), 100_000)


def test_messages_up_to_ten_megabytes(line: StraightLine, decoder: Decoder, material: Material) -> None:
    """Rows as long as they may be are scored, longer ones are refused; their neighbours are none the worse."""
    chance = np.random.default_rng(3)
    good = FakeMessage(material.json[0], ("transactions", 0, 0))
    messages = [
        FakeMessage(content, ("transactions", 0, 0), 0, None, marks) for content, marks in giants(material, Random(3))
    ]
    alone = [line.read(message) for message in messages]
    met = Counter(one if isinstance(one, str) else "rows" for one in alone)
    assert met == {"too_large": 7, "rows": 4, "not_utf8": 1, "not_an_object": 1}
    for message in messages:
        place = int(chance.integers(3))
        hold(line, [good] * place + [message] + [good] * (2 - place), decoder)
