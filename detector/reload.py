"""A model that changes while it is served: found, verified and warmed beside the loop, taken between two batches."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from detector.artifact import FILES, MANIFEST, SIGNATURE, Artifact
from detector.errors import Failure, ModelRefused
from detector.log import logger
from detector.serving import Serving

log = logger("detector")

Stamp = tuple[int, ...] | None
Identity = tuple[Path | None, tuple[Stamp, ...]]
"""Where an artifact is and, of all its files, what changes when they do."""


def directory(path: Path) -> Path:
    """The artifact's directory: `path` itself, what it links to, or what it names where it is a pointer file.

    A pointer file is UTF-8 text, one path and nothing else; a relative one begins at the file's own directory. Links
    are followed to their end, so that files read one after the other are of one artifact. ModelRefused where a pointer
    names nothing.
    """
    if path.is_file():
        path = path.parent / _pointed(path)
    try:
        return path.resolve() if path.exists() else path
    except (OSError, RuntimeError) as error:
        raise ModelRefused(f"model {path}: {error}") from error


def _pointed(pointer: Path) -> str:
    try:
        text = pointer.read_text("utf-8").strip()
    except OSError as error:
        raise ModelRefused(f"model {pointer}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ModelRefused(f"model {pointer}: a file that is no text; a directory, or a file with its path") from error
    if len(text.splitlines()) != 1 or "\0" in text:
        raise ModelRefused(f"model {pointer}: {len(text.splitlines())} lines, the path of a directory is wanted")
    return text


def _stamp(path: Path) -> Stamp:
    """What changes when a file does. Of a directory it is its identity alone: what lies in it has its own stamps."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    which = (found.st_dev, found.st_ino)
    return which if stat.S_ISDIR(found.st_mode) else (*which, found.st_size, found.st_mtime_ns)


def _ignored(why: str) -> None:
    """What is not counted."""


class Watch:
    """Looks for another artifact at a model's path, and has it ready when the loop asks.

    path: a directory that is exchanged, a link to one, or a pointer file. seconds: between two looks; 0: never looks by
    itself. served: what is served now. load: reads and verifies. prepare: makes it ready to serve. beside: other files
    whose change makes it look again, such as the trusted keys.

    A bad artifact is told once (`refused` is called, and logged) and not read again until something changes; what was
    served goes on. The same artifact anew is no change.
    """

    def __init__(
        self,
        path: Path,
        seconds: float,
        served: Serving,
        load: Callable[[Path], Artifact],
        prepare: Callable[[Artifact], Serving] = Serving.of,
        refused: Callable[[str], None] = _ignored,
        beside: Iterable[Path] = (),
    ) -> None:
        self.path, self.seconds, self.served = path, seconds, served
        self.refusals = 0
        self._load, self._prepare, self._tell, self._beside = load, prepare, refused, tuple(beside)
        self._seen: Identity | None = None
        self._offered: Serving | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to look, in a thread of its own."""
        if self.seconds > 0:
            self._thread = threading.Thread(target=self._run, name="model-watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends the looking; a look that is under way is waited for."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def offers(self) -> bool:
        """Whether an artifact is ready."""
        return self._offered is not None

    def take(self) -> Serving | None:
        """The newest artifact that is ready and not served yet: from now on it is. None where there is none."""
        if self._offered is None:  # between any two batches: no lock where nothing is offered
            return None
        with self._lock:
            offered, self._offered = self._offered, None
            if offered is not None:
                self.served = offered
            return offered

    def _run(self) -> None:
        while not self._closing.wait(self.seconds):
            self.look()

    def look(self) -> None:
        """Looks once: where something changed it is read, and offered or refused.

        What is exchanged while it is read is read once more; if that happens again, by the next look.
        """
        for _ in range(2):
            identity = self._identity()
            if identity == self._seen:
                return
            why = self._renewed()
            if why is None or identity == self._identity():
                self._seen = identity
                if why is not None:
                    self._refuse(why)
                return

    def _identity(self) -> Identity:
        try:
            found = directory(self.path)
        except ModelRefused:
            return None, (_stamp(self.path),)
        files = [found / name for name in (MANIFEST, SIGNATURE, *FILES)]
        return found, tuple(map(_stamp, (self.path, found, *files, *self._beside)))

    def _renewed(self) -> str | None:
        """Offers what is at the path if it is not what is served; returns why it cannot be."""
        try:
            found = self._load(directory(self.path))
            self._offer(found)
        except Failure as failure:
            return str(failure)
        except Exception as error:  # whatever it is, it ends neither the line nor the looking
            return f"{type(error).__name__}: {error}"
        return None

    def _offer(self, found: Artifact) -> None:
        """Makes an artifact ready, unless it is served or offered already; what is served again withdraws an offer."""
        seal = found.manifest["sha256"]
        with self._lock:
            if seal == self.served.seal:
                self._offered = None
            if seal in {one.seal for one in (self.served, self._offered) if one is not None}:
                return
        ready = self._prepare(found)
        self.served.refuse_successor(ready)
        name, path = ready.artifact.name, str(ready.artifact.path)
        log.info("model_ready", model=name.name, version=name.version, sha256=name.sha256[:12], path=path)
        with self._lock:
            self._offered = ready

    def _refuse(self, why: str) -> None:
        self.refusals += 1
        served = self.served.artifact.name
        log.error("model_refused", why=why, still_served=served.name, version=served.version)
        self._tell(why)
