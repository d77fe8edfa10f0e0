"""A TCP proxy on the loopback whose line can be cut, dammed up or slowed down while connections are open."""

from __future__ import annotations

import contextlib
import socket
import threading

PIECE = 1 << 16


class Proxy:
    """Listens on one port of 127.0.0.1 and passes all that comes on to another, and its answers back.

    listen: the port, 0 for a free one. refusing: connections are closed, and new ones at once. pause: how long each
    piece waits on its way, s.
    """

    def __init__(self, listen: int, target: int) -> None:
        self.target = target
        self.pause = 0.0
        self.refusing = False
        self._requests, self._answers = threading.Event(), threading.Event()
        self._forgotten: list[threading.Event] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._pumps: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", listen))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self.mend()
        self._acceptor.start()

    def cut(self) -> None:
        """Closes every connection with what is on its way in it, and refuses new ones."""
        with self._lock:
            self.refusing = True
            for end in self._open:
                _shut(end)

    def dam(self) -> None:
        """Connections stay, and nothing passes: what a firewall does that drops packets."""
        self._requests.clear()
        self._answers.clear()

    def dam_answers(self) -> None:
        """What is asked passes, and is done; no answer comes back."""
        self._answers.clear()

    def forget(self) -> None:
        """Nothing passes any more on connections that are open, new ones are good: a firewall's that was restarted."""
        self.dam()
        with self._lock:
            self._forgotten += [self._requests, self._answers]
            self._requests, self._answers = threading.Event(), threading.Event()
        self.mend()

    def mend(self) -> None:
        """The line is as good as new, but for connections that were forgotten."""
        self.refusing, self.pause = False, 0.0
        self._requests.set()
        self._answers.set()

    def close(self) -> None:
        """Ends every connection and thread."""
        self.cut()
        for gate in (self._requests, self._answers, *self._forgotten):
            gate.set()
        _shut(self._listener)
        self._listener.close()
        self._acceptor.join()
        for pump in self._pumps:
            pump.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
            if self.refusing:
                _shut(client)
            gates = self._requests, self._answers
        for source, sink, gate in ((client, server, gates[0]), (server, client, gates[1])):
            pump = threading.Thread(target=self._pump, args=(source, sink, gate), daemon=True)
            self._pumps.append(pump)
            pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, gate: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                threading.Event().wait(self.pause)
                gate.wait()
                sink.sendall(piece)
        _shut(sink)
        with self._lock:
            self._open.discard(source)
        source.close()


def _shut(end: socket.socket) -> None:
    """Wakes whoever waits on a socket; closing it would not."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
