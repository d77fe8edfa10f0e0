"""Writers' schemas from a Schema Registry. Imported when one is configured: its client takes time and memory."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, SchemaRegistryError

from detector.errors import RegistryUnavailable, UsageError
from detector.kafka.client import Properties
from detector.log import logger
from detector.rows import Written

log = logger("detector.kafka")

ANSWER: dict[str, Any] = {
    # The loop stands still while it asks: it reads the batch again rather than wait for long.
    "timeout": 5,
    "max.retries": 1,
    "retries.wait.ms": 100,
    "retries.max.wait.ms": 1000,
}
NUMBERS = (*ANSWER, "cache.capacity", "cache.latest.ttl.sec")
"""Properties that the client wants as numbers."""

UNKNOWN_SECONDS = 60.0
"""How long the registry is not asked again for a number that it did not know."""

MOST_UNKNOWN = 250
"""Unknown numbers that are remembered: beyond, no other is asked for until one is forgotten."""

NO_SUCH = (40401, 40402, 40403)
"""The registry's own codes for a subject, a version or a schema that it does not have."""


class Registry:
    """Gives the schema of a number; remembers those that are known for good, and for a while those that are not.

    Rows of a number that is unknown are no rows. A flood of such numbers is not passed on to the registry: beyond
    MOST_UNKNOWN within UNKNOWN_SECONDS a number that was never seen counts as unknown without being asked for.
    """

    def __init__(self, url: str, given: Properties | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """given: further properties of the client, such as basic.auth.user.info; UsageError where one is wrong."""
        self.url = shown(url)
        self._clock = clock
        self._known: dict[int, Written] = {}
        self._unknown: dict[int, float] = {}
        for name in ("httpx", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)  # the client's HTTP library tells every request
        try:
            self._client = SchemaRegistryClient({**ANSWER, **_typed(given or {}), "url": url})
        except (ValueError, TypeError, OSError) as error:
            raise UsageError(f"schema registry {self.url!r}: {shown(str(error))}") from error

    def __call__(self, number: int) -> Written | None:
        """The schema of a number, None where the registry has none of Avro; RegistryUnavailable where it is away."""
        if number in self._known:
            return self._known[number]
        now = self._clock()
        while self._unknown and next(iter(self._unknown.values())) <= now:
            del self._unknown[next(iter(self._unknown))]  # the one that is remembered for longest
        if number in self._unknown or len(self._unknown) >= MOST_UNKNOWN:
            return None
        found = self._asked(number)
        if found is not None:
            self._known[number] = found
            return found
        self._unknown[number] = now + UNKNOWN_SECONDS
        log.warning("schema_unknown", number=number, doing="its rows are dead letters")
        if len(self._unknown) == MOST_UNKNOWN:
            log.warning("schemas_unknown", count=MOST_UNKNOWN, doing="no other is asked for until one is forgotten")
        return None

    def _asked(self, number: int) -> Written | None:
        found = self._answer(lambda: self._client.get_schema(number))
        if found is None or (found.schema_type or "AVRO") != "AVRO":
            return None
        references: dict[str, Any] = {}
        try:
            self._resolve(found, references)
            return Written(json.loads(found.schema_str), tuple(references.values()))
        except (LookupError, ValueError, RecursionError):  # a reference leads nowhere or in circles, or this is no JSON
            return None

    def _resolve(self, schema: Schema, found: dict[str, Any]) -> None:
        """Adds the schemas that one refers to, each behind those that it refers to itself; LookupError for no such."""
        for reference in schema.references or ():
            name = str(reference.name)
            if name not in found:
                other = self._answer(lambda one=reference: self._version(one))  # type: ignore[misc]
                if other is None:
                    raise LookupError(name)
                self._resolve(other, found)
                found[name] = json.loads(other.schema_str)

    def _version(self, reference: SchemaReference) -> Schema:
        subject, version = str(reference.subject), reference.version or "latest"
        return self._client.get_version(subject, version, deleted=True).schema  # type: ignore[arg-type]

    def _answer(self, question: Callable[[], Schema | list[str]]) -> Any:
        """What the registry answers, None where it has no such thing."""
        try:
            return question()
        except SchemaRegistryError as error:
            if error.error_code in NO_SUCH:
                return None
            raise RegistryUnavailable(f"schema registry {self.url!r}: {error}"[:300]) from error
        except Exception as error:  # whatever the client's HTTP library raises: no answer is no answer
            told = f"{type(error).__name__}: {shown(str(error))}"
            raise RegistryUnavailable(f"schema registry {self.url!r}: {told}"[:300]) from error

    def check(self) -> None:
        """Asks whether it is there; RegistryUnavailable where it is not."""
        self._answer(self._client.get_schema_types)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def shown(text: str) -> str:
    """A text without the names and passwords of the addresses in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _typed(given: Properties) -> dict[str, Any]:
    """Properties as the client wants them; ValueError where one should be a number."""
    typed: dict[str, Any] = dict(given)
    for name in typed.keys() & set(NUMBERS):
        try:
            typed[name] = float(typed[name])
        except ValueError as error:
            raise ValueError(f"property {name!r} has value {typed[name]!r}, a number wanted") from error
    return typed
