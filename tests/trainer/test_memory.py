"""How much memory a training takes: what it is told, what the machine says, and what it then really takes."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.__main__ import main
from trainer.memory import LEAST, Shares, budget, first_rows, size

MIB, GIB = 1 << 20, 1 << 30
MOST = Shares(65_536, 1 << 18, 200_000, 1 << 27)
LIMIT = 1_126 * MIB
"""What a training on a file four times as big may have; TensorFlow alone takes 600 MiB of it."""

FEATURES, GROUP = 30, 250_000
RECIPE = """
about = "for this test"
threshold = "percentile:99"
[[branches]]
kind = "dense"
preprocessing = [{ kind = "standardise" }]
layers = [{ units = 8, activation = "relu" }]
batch = 4096
patience = 0
"""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2G", 2 * GIB),
        ("1.5g", 3 * GIB // 2),
        ("512 MiB", 512 * MIB),
        ("16M", LEAST),
        ("1TB", 1024 * GIB),
        ("20000000", 20_000_000),
        ("40000K", 40_000 * 1024),
    ],
)
def test_sizes(text: str, wanted: int) -> None:
    """A size is a number with a unit in powers of 1024, or bytes."""
    assert size(text) == wanted


@pytest.mark.parametrize("text", ["", "G", "2X", "-2G", "2 G G", "15M", "1e9", "inf"])
def test_no_sizes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no size, or less than is possible, is refused with what is wanted."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        size(text)
    with pytest.raises(SystemExit) as left:
        main(["fit", "simulated-ecg", "--out", "m", f"--memory={text}"])
    assert left.value.code == 2
    assert f"argument --memory: invalid size of at least 16M, such as 2G value: {text!r}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 8 * GIB),
        ({"sys/fs/cgroup/memory.max": "max"}, 8 * GIB),
        ({"sys/fs/cgroup/memory.max": str(GIB)}, GIB),
        ({"proc/self/cgroup": "0::/pod/x\n", "sys/fs/cgroup/pod/x/memory.max": str(GIB)}, GIB),
        (
            {"proc/self/cgroup": "7:cpu:/x\n4:memory:/a/b\n", "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "4096"},
            0,
        ),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": str((1 << 63) - 4096)}, 8 * GIB),
    ],
)
def test_budget(files: dict[str, str], wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a quarter of what the machine has, or of what the process' control group or its own limits leave it."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    pages = {"SC_PHYS_PAGES": 8 * GIB // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert budget(tmp_path) == max(wanted // 4, LEAST)
    limits = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 512 * MIB}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], resource.RLIM_INFINITY))
    assert budget(tmp_path) == max(min(wanted, 512 * MIB) // 4, LEAST)


def test_budget_of_this_machine() -> None:
    """Here it is something between the least and what a machine can have."""
    assert LEAST <= budget() < 1 << 50


@given(st.integers(LEAST, 1 << 45), st.integers(1, 2_000))
def test_shares(budget: int, columns: int) -> None:
    """What is held at a time fits into the budget unless a few rows are too many, and never exceeds what helps."""
    found = Shares.of(budget, columns, MOST)
    for held, bytes_, least, most in (
        (found.chunk, columns * 80, 256, MOST.chunk),
        (found.pool, columns * 12, 1_024, MOST.pool),
        (found.kept, columns * 64, 1_024, MOST.kept),
        (found.times, 48, 1_024, MOST.times),
        (first_rows(budget, columns, 200_000), columns * 24, 1_024, 200_000),
    ):
        assert least <= held <= most
        assert held == least or held * bytes_ <= budget // 8
    assert Shares.of(1 << 45, columns, MOST) == MOST


def parquet(path: Path, most: int) -> int:
    """Writes random float32 columns and an event time until the file has so many bytes; returns the rows."""
    rng = np.random.default_rng(0)
    names = [f"v{number}" for number in range(FEATURES)]
    kinds = [pa.field(name, pa.float32()) for name in names]
    schema = pa.schema([*kinds, pa.field("time", pa.int64())])
    rows = 0
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        while path.stat().st_size < most:
            values = rng.random((FEATURES, GROUP), dtype=np.float32)
            writer.write_table(pa.table([*values, np.arange(rows, rows + GROUP)], schema=schema))
            rows += GROUP
    return rows


@pytest.mark.long
def test_a_file_four_times_the_memory(tmp_path: Path) -> None:
    """A process that may have a quarter of a file's size of memory learns from all its rows.

    The limit is the kernel's, of data; the peak has the libraries' pages too, some 300 MB that processes share.
    """
    rows = parquet(tmp_path / "long.parquet", 4 * LIMIT)
    file_size = (tmp_path / "long.parquet").stat().st_size
    (tmp_path / "small.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "trainer", "fit", str(tmp_path / "long.parquet"), "--epochs", "1"]
    command += ["--recipe", str(tmp_path / "small.toml"), "--out", str(tmp_path / "m")]
    start = time.monotonic()
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", f'ulimit -d {LIMIT // 1024} && exec "$@"', "sh", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert child.stdout is not None
        with child.stdout as output:
            said = output.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    finally:
        (tmp_path / "long.parquet").unlink()
    taken = used.ru_maxrss * 1024
    print(f"file {file_size:,}, limit {LIMIT:,}, peak {taken:,} bytes, {time.monotonic() - start:.0f} s")
    assert child.returncode == 0, said
    assert file_size >= 4 * LIMIT
    assert taken < file_size / 3
    assert "streamed from the file" in said
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert manifest["data"]["rows"] == rows
    assert manifest["training"]["training_rows"] == pytest.approx(0.8 * rows, rel=1e-4)
    assert manifest["calibration"]["days"] == pytest.approx(rows / 86_400, rel=1e-4)
