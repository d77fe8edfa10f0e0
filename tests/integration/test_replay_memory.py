"""A file of several times the memory that a replay may have is played whole, in order or not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Broker, create_topic
from tests.replay.made import long_parquet

MIB = 1 << 20
LIMIT = 640 * MIB
"""What the process may have; Python with its libraries takes 200 MiB of it."""


@pytest.fixture
def long_file(tmp_path: Path) -> Iterator[Path]:
    """A place for a file that is gone when the test ends."""
    path = tmp_path / "long.parquet"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.long
@pytest.mark.parametrize(("shuffled", "times"), [(False, 3), (True, 3)])
def test_a_file_of_several_times_the_memory(
    broker: Broker, long_file: Path, tmp_path: Path, shuffled: bool, times: int
) -> None:
    """Under a limit of a third of the file's size all rows are sent, be they sorted on disk first, and none fails."""
    rows = long_parquet(long_file, times * LIMIT, shuffled=shuffled)
    topic = f"t{uuid.uuid4().hex[:8]}"
    create_topic(broker.bootstrap, topic, 4)
    command = [sys.executable, "-m", "replay", str(long_file), "--bootstrap-servers", broker.bootstrap]
    command += ["--topic", topic, "--labels-topic", "none", "--format", "packed"]
    child = subprocess.Popen(
        ["/bin/sh", "-c", f'ulimit -d {LIMIT // 1024} && exec "$@"', "sh", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with child:
        out, err = child.communicate(timeout=900)
        assert child.returncode == 0, err
    assert ("sorting its" in err) == shuffled
    assert re.match(rf"replay: sent {rows} rows, failed 0, ", out), out
