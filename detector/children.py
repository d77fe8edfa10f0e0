"""Child processes: started apart from the terminal, watched, and stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from detector import tied
from detector.errors import EXIT_CODES, Failure

STOP_SECONDS = 15.0
"""How long a child may take to end after SIGTERM: a detector's last commit, a replay's last answers."""

SHOWN_LINES = 12
OURS = ("DETECTOR_", "REPLAY_")
"""Settings in the person's environment are meant for their own detector and replay, not for those that a
program starts for itself."""


class ChildDied(Failure):
    """A child ended that should not have."""


class Child:
    """A module of this project in a process of its own. endless: it is to run until it is stopped."""

    def __init__(self, name: str, command: Sequence[str], logs: Path, env: Mapping[str, str], endless: bool) -> None:
        self.name, self.endless = name, endless
        self._stderr = logs / f"{name}.err"
        whole = [sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), *command]
        with (logs / f"{name}.out").open("wb") as out, self._stderr.open("wb") as err:
            # A session of its own: Ctrl-C in the terminal reaches the parent alone, which then stops them in order.
            self._process = subprocess.Popen(
                whole, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Its process, and its process group."""
        return self._process.pid

    def code(self) -> int | None:
        """How it ended (minus the signal's number if one killed it); None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.code() is not None

    def said(self) -> str:
        """What it wrote to stderr."""
        return self._stderr.read_text(errors="replace")

    def check(self) -> None:
        """ChildDied where it has ended and should not have, or not so."""
        code = self.code()
        if code is not None and (code or self.endless):
            raise ChildDied(obituary(self.name, code, self.said()))

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Asks it to end, waits, and ends it by force where that is not enough, which is said."""
        if self.code() is not None:
            return
        self.endless = False
        self._signal(signal.SIGTERM)
        if not self.wait(seconds):
            self._signal(signal.SIGKILL)
            self._process.wait()
            print(f"the {self.name} did not end within {seconds:g} s of SIGTERM: killed", file=sys.stderr)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def obituary(name: str, code: int, said: str) -> str:
    """Which child ended, how, and its last words."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    meaning = f" ({EXIT_CODES[code]})" if code in EXIT_CODES else ""
    lines = said.splitlines()[-SHOWN_LINES:]
    last = "; it said last:\n" + "\n".join(f"  {line}" for line in lines) if lines else "; it said nothing"
    return f"the {name} {how}{meaning}{last}"


class Children:
    """All children of a process; leaving the block stops them, the last started first."""

    def __init__(self, logs: Path, properties: Mapping[str, str]) -> None:
        """properties: librdkafka's, handed on in the environment, where no other user can read a password.

        logs: their temporary files go there too, as TensorFlow leaves some where it is stopped while it traces.
        """
        self._logs = logs
        self._all: list[Child] = []
        own = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        secret = {
            f"{prefix}KAFKA_{name.upper().replace('.', '_')}": value
            for prefix in OURS
            for name, value in properties.items()
        }
        self._env = own | {"TMPDIR": str(logs)} | secret

    def start(self, name: str, module: str, *arguments: str, endless: bool = False) -> Child:
        """Starts `python -m module arguments`."""
        child = Child(name, [sys.executable, "-m", module, *arguments], self._logs, self._env, endless)
        self._all.append(child)
        return child

    def check(self) -> None:
        """ChildDied where one has ended that should not have."""
        for child in self._all:
            child.check()

    def stop(self) -> None:
        """The last started first: rows cease before their reader does."""
        for child in reversed(self._all):
            child.stop()
        self._all.clear()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
