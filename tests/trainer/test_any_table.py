"""A table of numbers, text and booleans goes the whole way without a word: trained, loaded, streamed, explained."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest

from detector import artifact, table
from detector.alerts import Alert
from detector.artifact import Artifact
from detector.detection import build_alerts, judge
from detector.rows import Decoder
from detector.statistics import RunningMedianMad
from detector.threshold import Line, Threshold
from tests.messages import FakeMessage
from tests.trainer.conftest import shortened
from tests.trainer.test_inspect import SHOP
from trainer import scoring
from trainer.build import Order, build
from trainer.datasets import Data
from trainer.history import Columns
from trainer.recipes import RECIPES


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The shop's rows learned from, for an epoch, with nothing said of their columns."""
    out = tmp_path_factory.mktemp("shop") / "model"
    order = Order("default", shortened(RECIPES["default"]), "shop")
    build(Data("shop.csv", SHOP), Columns(), order, out, lambda *_: None)
    return artifact.load(out)


def messages(frame: pd.DataFrame) -> list[FakeMessage]:
    """Rows as anybody's producer would send them: text as text, true as true, nothing where nothing is known."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [
        FakeMessage(msgspec.json.encode(row), ("transactions", 0, offset), name=b"7") for offset, row in enumerate(rows)
    ]


def test_the_artifact_knows_its_columns(trained: Artifact) -> None:
    """The artifact's schema has the texts' values, the booleans, what may be missing, and the roles that were found."""
    schema = trained.schema
    assert schema.features == ("Amount", "kind", "online", "leak")
    assert (schema.categories, schema.booleans, schema.optional) == ({"kind": ("it's", "-b")}, ("online",), ("online",))
    assert (schema.label, schema.normal, schema.time, schema.key) == ("fraud", "N", "when", "customer id")


def test_the_stream_scores_as_the_file(trained: Artifact) -> None:
    """Rows as JSON are scored to the bits that `score` gives their file."""
    frame = SHOP[["Amount", "kind", "online", "leak"]]
    model = trained.model()
    rows, rejects = Decoder(trained.schema).decode(messages(frame))
    assert rejects == []
    assert model.score(rows.matrix).tobytes() == scoring.score(trained, model, SHOP).tobytes()
    assert np.array_equal(rows.matrix, table.encoded(SHOP, trained.schema), equal_nan=True)


def test_alerts_are_in_the_table_s_words(trained: Artifact) -> None:
    """An alert's reasons give the text and the truth that came, and such a text and truth as expected."""
    strange = SHOP[["Amount", "kind", "online", "leak"]].head(3).assign(kind=["-b", "unheard of", "it's"])
    rows, _ = Decoder(trained.schema).decode(messages(strange))
    model, line = trained.model(), Line(Threshold(-1.0, "value:-1"))
    verdicts = judge(rows, model.score(rows.matrix), line, lambda _: RunningMedianMad(8, 8, 8))
    found = [by_feature(alert) for alert, _ in build_alerts(rows, verdicts, model, trained, "now")]
    assert [one["kind"][0] for one in found] == ["-b", None, "it's"]
    assert {one["kind"][1] for one in found} <= {"-b", "it's"}
    assert [one["online"][0] for one in found] == [None, False, False]
    assert {type(one["online"][1]) for one in found} == {bool}
    assert {type(one["Amount"][0]) for one in found} == {float}


def by_feature(alert: Alert) -> dict[str, tuple[object, object]]:
    return {reason.feature: (reason.value, reason.expected) for reason in alert.reasons}
