"""How soon ten thousand alerts are on the console's page, and what it takes while more come.

`python -m tests.benchmarks.console [--alerts N] [--repeats N] [--minutes M] [--rate R]` fills a topic of 4 partitions,
starts `python -m detector console` on it and, in headless Chromium, measures from the request of the page to the first
row in it with all alerts counted (the median of the repeats, each with an empty cache), and before that from the
process's start until it listens. With --minutes it then sends alerts at a rate while the list is open, and prints each
minute the resident memory of the console, and of the page the longest task and the longest time between two frames,
in ms: what a person feels as a jerk.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer
from playwright.sync_api import Browser

from detector.alerts import encode
from tests.broker import create_topic, start
from tests.browser import chromium
from tests.console.made import entries
from tests.console.staged import looking
from tests.integration.line import Running

PARTITIONS = 4
TICKS = 10
"""How often in a second alerts are sent."""

WATCH = """() => {
    window.felt = { task: 0, gap: 0 };
    new PerformanceObserver((list) => list.getEntries().forEach((one) => {
        felt.task = Math.max(felt.task, one.duration);
    })).observe({ type: "longtask" });
    let last = performance.now();
    const step = (now) => { felt.gap = Math.max(felt.gap, now - last); last = now; requestAnimationFrame(step); };
    requestAnimationFrame(step);
}"""
TOLD = "() => { const { task, gap } = felt; felt.task = felt.gap = 0; return [task, gap]; }"
"""Tasks below 50 ms are not told by a browser: 0 stands for those."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.console")
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=int, default=0)
    parser.add_argument("--rate", type=int, default=10)
    given = parser.parse_args(argv)
    broker = start()
    try:
        topic = f"alerts-{uuid.uuid4().hex[:8]}"
        for name in (topic, f"{topic}.labels"):
            create_topic(broker.bootstrap, name, PARTITIONS)
        publish(broker.bootstrap, topic, given.alerts, 0)
        with console(broker.bootstrap, topic) as (process, address), chromium() as browser:
            loaded(browser, address, given.alerts)
            seconds = [loaded(browser, address, given.alerts) for _ in range(given.repeats)]
            told = ", ".join(f"{one:.2f}" for one in sorted(seconds))
            print(f"{given.alerts:,} alerts on the page after {statistics.median(seconds):.2f} s ({told})")
            print(f"memory {memory(process):.0f} MB")
            watched(browser, process, address, broker.bootstrap, topic, given)
    finally:
        broker.stop()


def publish(bootstrap: str, topic: str, count: int, begin: int) -> None:
    """Sends so many alerts."""
    producer = Producer({"bootstrap.servers": bootstrap})
    send(producer, topic, count, begin)
    producer.flush(60)


def send(producer: Producer, topic: str, count: int, begin: int) -> None:
    """Hands so many alerts to a producer."""
    for one in entries(count, begin, seed=begin):
        producer.produce(topic, encode(one.alert)[0])
        producer.poll(0)


@contextmanager
def console(bootstrap: str, topic: str) -> Iterator[tuple[Running, str]]:
    """The console, once it has read the topic; prints how long that took."""
    names = {"--bootstrap-servers": bootstrap, "--alerts-topic": topic, "--labels-topic": f"{topic}.labels"}
    flags = [text for pair in names.items() for text in pair]
    begun = time.monotonic()
    process = Running([sys.executable, "-m", "detector", "console", "--console-port", "0", *flags])
    try:
        address = process.await_line("console=").split("console=")[1].strip()
        print(f"listens after {time.monotonic() - begun:.2f} s")
        yield process, address
    finally:
        process.close()


def loaded(browser: Browser, address: str, count: int) -> float:
    """Seconds from the request to a page with rows that counts all alerts."""
    begun = time.monotonic()
    with looking(browser, address) as seen:
        seen.page.wait_for_selector(".alerts .alert")
        seen.page.wait_for_function(f"document.querySelector('.count').innerText.endsWith('of {count:,}')")
        return time.monotonic() - begun


def memory(process: Running) -> float:
    """Resident memory, MB of 1e6 bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6


def watched(
    browser: Browser, process: Running, address: str, bootstrap: str, topic: str, given: argparse.Namespace
) -> None:
    """Memory, and how smooth the list is, by minute while alerts come."""
    sent = given.alerts
    producer = Producer({"bootstrap.servers": bootstrap})
    with looking(browser, address) as seen:
        seen.page.evaluate(WATCH)
        for minute in range(given.minutes):
            begun = time.monotonic()
            for tick in range(1, 60 * TICKS + 1):
                send(producer, topic, given.rate // TICKS, sent)
                sent += given.rate // TICKS
                seen.page.wait_for_timeout(max(begun + tick / TICKS - time.monotonic(), 0.001) * 1000)
            task, gap = seen.page.evaluate(TOLD)
            felt = f"longest task {task:.0f} ms, between frames {gap:.0f} ms"
            producer.flush(60)
            print(f"minute {minute + 1}: {memory(process):.0f} MB, {sent:,} alerts so far, {felt}", flush=True)


if __name__ == "__main__":
    main()
