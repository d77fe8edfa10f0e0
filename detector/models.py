"""What is served, what follows it, and what scores beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from detector import artifact
from detector.alerts import ModelName
from detector.artifact import Artifact
from detector.detection import Verdicts
from detector.errors import ModelRefused
from detector.log import logger
from detector.reload import Watch, directory
from detector.rows import Cutter, Decoder, Registry, Rows, SignalDecoder
from detector.schema import Schema
from detector.serving import Serving
from detector.settings import Scoring, Settings
from detector.shadow import Shadow, Tally

log = logger("detector")


def load(settings: Scoring, path: Path) -> Artifact:
    """The artifact at a path, a link or a pointer file, verified as the settings ask."""
    return artifact.load(directory(path), settings.trusted_key)


def registry(settings: Scoring) -> Registry | None:
    """The schema registry, which has answered; None where none is configured."""
    if not settings.schema_registry:
        return None
    from detector.kafka import registry  # imported only now: its client takes time and memory

    found = registry.Registry(settings.schema_registry, settings.registry)
    found.check()
    return found


def cutter(settings: Scoring) -> Cutter | None:
    """What cuts signals into rows, if a message is a sample."""
    return Cutter(settings.window_samples, settings.window_reach) if settings.window_samples else None


def ready(settings: Scoring, found: Artifact, schemas: Registry | None, cut: Cutter | None = None) -> Serving:
    """An artifact ready to serve as the settings ask. cut: of signals, with the windows that are open in it."""
    if settings.window_samples:
        _refuse_signal(settings.window_samples, found)
    return Serving.of(found, settings.threshold, _decoder(settings, schemas, cut or cutter(settings)))


def _refuse_signal(samples: int, found: Artifact) -> None:
    """ModelRefused where so many samples of a signal are no row of a model."""
    schema, told = found.schema, f"model {found.path}"
    if len(schema.features) != samples:
        raise ModelRefused(f"{told} has {len(schema.features)} features, as many as window_samples ({samples}) wanted")
    if kinds := [*schema.categories, *schema.booleans]:
        raise ModelRefused(f"{told} has feature {kinds[0]!r}, which is no number as samples are")


def _decoder(s: Scoring, schemas: Registry | None, cut: Cutter | None) -> Callable[[Schema], Decoder]:
    if cut is None:
        return lambda schema: Decoder(schema, s.format, s.max_row_bytes, s.field, schemas, s.time_field)
    own = s.sample_field, s.index_field, s.format, s.max_row_bytes, schemas, s.time_field
    return lambda schema: SignalDecoder(cut, *own)


class Models:
    """The served model and its shadow; finds, verifies and warms a successor in a thread of its own.

    refused: called with the reason when a successor is none.
    """

    def __init__(self, settings: Settings, refused: Callable[[str], None]) -> None:
        schemas, cut = registry(settings), cutter(settings)
        self.serving = ready(settings, load(settings, settings.model), schemas, cut)
        self.shadow = _shadow(settings, _decoder(settings, schemas, cut), self.serving)
        self._watch = Watch(
            settings.model,
            0 if settings.until_end else settings.reload_seconds,
            self.serving,
            lambda path: load(settings, path),
            lambda found: ready(settings, found, schemas, cut),
            refused,
            [settings.trusted_key] if settings.trusted_key else [],
        )

    def start(self) -> None:
        """Begins to look for a successor."""
        self._watch.start()

    def shadowed(self, rows: Rows, verdicts: Verdicts) -> Tally | None:
        """How the shadow judges rows that were judged; None where there is no shadow."""
        return self.shadow.score(rows.matrix, verdicts.scores, verdicts.alerting) if self.shadow else None

    def committed(self, tallies: Iterable[Tally | None]) -> None:
        """Batches became visible: their tallies count."""
        for tally in tallies:
            if self.shadow and tally:
                self.shadow.committed(tally)

    def close(self) -> None:
        """Ends the looking."""
        self._watch.close()

    @property
    def due(self) -> bool:
        """Whether a successor is ready."""
        return self._watch.offers

    def exchange(self) -> ModelName | None:
        """Serves the successor; the name of the model before it, None where there is no successor any more."""
        successor = self._watch.take()
        if successor is None:
            return None
        previous, self.serving = self.serving.artifact.name, successor
        name = successor.artifact.name
        log.info("model_taken_over", model=name.name, version=name.version, sha256=name.sha256[:12])
        if self.shadow:
            self.shadow = _beside(self.shadow, successor)
        return previous


def _shadow(settings: Settings, decoder: Callable[[Schema], Decoder], serving: Serving) -> Shadow | None:
    if settings.shadow_model is None:
        return None
    found = load(settings, settings.shadow_model)
    return Shadow(Serving.of(found, decoder=decoder), serving)


def _beside(shadow: Shadow, successor: Serving) -> Shadow | None:
    try:
        return shadow.beside(successor)
    except ModelRefused as refused:
        log.error("shadow_ended", why=str(refused))
        return None
