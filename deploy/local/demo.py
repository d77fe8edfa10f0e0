"""The order of steps: data, training, broker, detector, replay, and the end of each."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local import console, scrape
from deploy.local.broker import Broker, embedded, real
from deploy.local.data import Halves, split
from deploy.local.settings import SIMULATED_ROWS, Settings
from deploy.local.show import Show
from deploy.local.summary import Course, next_steps, summary
from deploy.local.view import Facts
from deploy.local.watch import Watch
from detector import artifact
from detector.children import Child, ChildDied, Children
from detector.errors import DataRefused, Failure
from detector.kafka import Reader, most_lead

SIMULATED = "simulated-cards"
LIVE_SEED = "1"
"""Other rows than those of seed 0, from which the model learns."""

THRESHOLD = "percentile:99.9"
WHY = "about 1 normal row in 1,000 alerts"
LOOK_SECONDS = 0.1
READY_SECONDS = 60.0
TRAINING = re.compile(r"^training: (.*)$", re.MULTILINE)
METRICS = re.compile(r"\bmetrics=(\S+)")


class Stop:
    """A person's wish to end, seen where nothing is half done.

    An exception out of the signal handler could come between a child's start and the note that it runs.
    """

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def check(self) -> None:
        """KeyboardInterrupt if it was asked for."""
        if self._asked:
            raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class Rows:
    """What is replayed. about: for people. history: what is learnt from, as `trainer fit` takes it."""

    path: Path
    count: int
    about: str
    history: tuple[str, ...]


class Demo:
    """One run. Whoever makes it closes the children and removes the directory."""

    def __init__(self, chosen: Settings, directory: Path, children: Children, show: Show, stop: Stop) -> None:
        self._chosen, self._directory, self._children, self._show, self._stop = chosen, directory, children, show, stop
        self._model = directory / "model"
        self._started = time.monotonic()
        self._page: str | None = None

    def run(self) -> None:
        """1. data; 2. broker, as it may not be there; 3. training; 4. detector; 5. replay, watched to the end."""
        rows = self._own_data() if self._chosen.data else self._simulated_data()
        with self._broker() as broker:
            try:
                self._line(broker, rows)
            finally:
                self._children.stop()  # while the broker is there: a replay waits for its answers, a detector commits

    def _line(self, broker: Broker, rows: Rows) -> None:
        own = ", made now and removed at the end" if broker.prefix else ""
        self._show.step("broker", f"{broker.about}; topics {', '.join(broker.topics)}{own}")
        self._train(rows.history)
        detector, address = self._detector(broker)
        self._console(broker)
        replay, labelled = self._replay(broker, rows)
        with _reading(broker) as reader:
            watch = Watch(Facts(rows.about, rows.count, labelled, address), broker, reader, self._started)
            self._watched(watch, detector, replay)

    def _simulated_data(self) -> Rows:
        count = self._chosen.rows or SIMULATED_ROWS
        live = self._directory / "live.parquet"
        order = ["generate", SIMULATED, "--rows", str(count), "--seed", LIVE_SEED, "--out", str(live)]
        self._finished(self._children.start("generator", "trainer", *order), "data", "simulating card transactions")
        self._show.step(
            "data", f"{count:,} SIMULATED card transactions to replay; none of them is among those that are learnt from"
        )
        return Rows(live, count, f"{count:,} SIMULATED card transactions (no real ones)", (SIMULATED,))

    def _own_data(self) -> Rows:
        name = Path(self._chosen.data).name
        self._show.busy("data", f"reading {name}")
        halves = split(self._chosen, self._directory)
        self._stop.check()
        self._show.step("data", _split_text(name, halves))
        said = {"--label": self._chosen.label, "--normal": self._chosen.normal, "--time": self._chosen.time}
        given = [text for flag, value in said.items() if value for text in (flag, value)]
        history = (str(halves.training), "--name", name.partition(".")[0] or "own", *given)
        return Rows(halves.live, halves.live_rows, f"{halves.live_rows:,} later rows of {name}", history)

    def _train(self, history: tuple[str, ...]) -> None:
        began = time.monotonic()
        how = ["--out", str(self._model), "--threshold", THRESHOLD, "--epochs", str(self._chosen.epochs)]
        child = self._children.start("trainer", "trainer", "fit", *history, *how)
        try:
            self._finished(child, "training", "an autoencoder on the normal rows")
        except ChildDied as died:
            if child.code() == DataRefused.code:
                why = child.said().splitlines()[-1].removeprefix("error: ")
                raise DataRefused(f"data {self._chosen.data}, whose earlier half is learnt from: {why}") from died
            raise
        made = artifact.load(self._model)
        kind = "" if self._chosen.data else "other SIMULATED "
        self._show.step(
            "training",
            f"{made.manifest['training']['training_rows']:,} {kind}normal rows in {time.monotonic() - began:.0f} s; "
            f"threshold {made.threshold.value:.3g} ({THRESHOLD}: {WHY})",
        )

    def _finished(self, child: Child, name: str, about: str) -> None:
        """Waits for a child that ends by itself."""
        began = time.monotonic()
        while not child.wait(LOOK_SECONDS):
            self._stop.check()
            epoch = "".join(f", {told}" for told in TRAINING.findall(child.said())[-1:])
            self._show.busy(name, f"{about}, {time.monotonic() - began:.0f} s{epoch}")
        self._stop.check()
        child.check()

    def _broker(self) -> AbstractContextManager[Broker]:
        if self._chosen.bootstrap_servers:
            return real(self._chosen.bootstrap_servers, self._chosen.kafka)
        return embedded()

    def _detector(self, broker: Broker) -> tuple[Child, str]:
        order = {
            "--model": str(self._model),
            "--bootstrap-servers": broker.bootstrap_servers,
            "--input-topic": broker.transactions,
            "--alerts-topic": broker.alerts,
            "--dead-letters-topic": broker.dead_letters,
            "--models-topic": broker.models,
            "--drift-topic": broker.drift,
            "--scores-topic": broker.scores,
            "--group": broker.group,
            "--delivery": broker.delivery,
            "--metrics-port": "0",
        }
        child = self._children.start("detector", "detector", "run", *_flags(order), endless=True)
        address = self._ready(child)
        self._show.step("detector", f"group {broker.group}, delivery {broker.delivery}; {address}/metrics")
        return child, address

    def _ready(self, child: Child) -> str:
        """The detector's address, once it has its partitions."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            found = METRICS.search(child.said())
            if found and scrape.get(found[1], "/readyz"):
                return found[1]
            child.wait(LOOK_SECONDS)
            child.check()
            self._stop.check()
            self._show.busy("detector", "joining its group")
        raise Failure(f"the detector was not ready after {READY_SECONDS:g} s")

    def _console(self, broker: Broker) -> None:
        """Starts the page of alerts where it is wanted, and can be."""
        if self._chosen.console:
            self._show.busy("console", "starting")
            self._page = console.start(self._children, broker, self._stop.check)
            self._show.step("console", self._page or console.ABSENT)

    def _stay(self) -> None:
        """Keeps broker and console until the person ends it."""
        if not (self._chosen.stay and self._page):
            return
        self._show.step("console", f"{self._page} stays until Ctrl-C")
        with suppress(KeyboardInterrupt):
            while True:
                self._children.check()
                self._stop.check()
                time.sleep(LOOK_SECONDS)

    def _replay(self, broker: Broker, rows: Rows) -> tuple[Child, bool]:
        schema = artifact.load(self._model).schema
        pace = self._chosen.pace_of(rows.count)
        order = {
            "--model": str(self._model),
            "--bootstrap-servers": broker.bootstrap_servers,
            "--topic": broker.transactions,
            "--labels-topic": broker.labels,
            "--speed": pace,
            "--group": broker.group,
            "--max-lead": str(most_lead(len(schema.features))),
        }
        self._show.step("replay", f"rows at speed {pace} to {broker.transactions}, their labels to {broker.labels}")
        return self._children.start("replay", "replay", str(rows.path), *_flags(order)), schema.label is not None

    def _watched(self, watch: Watch, detector: Child, replay: Child) -> None:
        try:
            while not (replay.code() is not None and watch.done()):
                watch.turn()
                self._show_live(watch.facts)
                self._children.check()
                self._stop.check()
        except KeyboardInterrupt:
            self._end(watch, finished=False)
            raise
        finally:
            self._show.end()
        detector.stop()
        if code := detector.code():
            raise ChildDied(f"the detector ended with exit code {code} when it was stopped")
        self._end(watch, finished=True)
        self._stay()

    def _show_live(self, facts: Facts) -> None:
        if facts.figures.processed:
            self._show.facts(facts)
        else:
            self._show.busy("replay", "reading its rows")

    def _end(self, watch: Watch, finished: bool) -> None:
        course = Course(time.monotonic() - self._started, watch.first_alert, finished)
        self._show.print(summary(watch.facts, course))
        if finished:
            self._show.print(next_steps(self._chosen.data, self._chosen.bootstrap_servers))


@contextmanager
def _reading(broker: Broker) -> Iterator[Reader]:
    reader = Reader(broker.bootstrap_servers, broker.properties)
    try:
        reader.follow([broker.alerts, broker.labels])
        yield reader
    finally:
        reader.close()


def _flags(order: dict[str, str]) -> list[str]:
    return [text for pair in order.items() for text in pair]


def _split_text(name: str, halves: Halves) -> str:
    first = f"in the order of {halves.time!r}" if halves.time else "in the file's order, as no column is the time"
    label = f"label {halves.label!r}" if halves.label else "no label column: precision and recall cannot be shown"
    rows = f"{halves.training_rows:,} rows to learn from, then {halves.live_rows:,} to replay"
    return f"{name} {first}: {rows}; {label}"
