"""`python -m detector console`: a page for the people who handle alerts."""

from __future__ import annotations

import importlib.util
import signal

from detector import settings
from detector.commands.run import ENDING
from detector.errors import INTERRUPTED, UsageError
from detector.log import configure, logger

ABOUT = "a web page for the people who handle alerts"
DETAIL = """\
Shows alerts as they come, each with its reasons; takes verdicts, which go to the topic of labels; shows drift, dead
letters, throughput and lag. It reads topics and commits nothing. Needs pip install 'streaming-fraud-detector[console]'.
Reachable from this machine alone, unless people sign in (--token-file) or a reverse proxy says who asks."""
SETTINGS = settings.ConsoleSettings
log = logger("detector.console")


def run(chosen: settings.ConsoleSettings) -> int:
    """Serves until SIGTERM or SIGINT; the exit code."""
    if importlib.util.find_spec("nicegui") is None:
        raise UsageError("the console needs NiceGUI: pip install 'streaming-fraud-detector[console]'")
    from detector.console import server  # NiceGUI and all that comes with it: no other command has it in memory
    from detector.console.access import Access
    from detector.console.board import Board
    from detector.console.feed import Feed
    from detector.console.pages.frame import Console

    configure(chosen.log_format, chosen.log_level)
    access = Access.of(chosen)
    received: set[int] = set()
    for number in ENDING:
        signal.signal(number, lambda number, frame: received.add(number))
    board = Board(chosen.history, chosen.input_topic)
    with server.listening(chosen.console_host, chosen.console_port) as bound:
        feed = Feed(chosen, board)
        console = Console(chosen, board, feed, signs_out=bool(access.tokens))
        feed.start()
        log.info("console_started", console=server.address_of(chosen.console_host, bound))
        try:
            server.serve(server.application(console, access), bound)
        finally:
            feed.close()
    log.info("stopped")
    return INTERRUPTED if signal.SIGINT in received else 0
