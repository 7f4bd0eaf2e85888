"""A server that speaks Redis's protocol, and answers as a test says."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[list[str]], str]


def fine(words: list[str]) -> str:
    """What a server that works answers."""
    return "+1-0" if words[0] == "XADD" else ":1" if words[0] in ("DEL", "PEXPIRE") else "+OK"


@contextmanager
def redis_server(answer: Answer = fine) -> Iterator[tuple[int, list[list[str]]]]:
    """Give its port, and the commands that it got."""
    got: list[list[str]] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int(self.rfile.readline()[1:])
                    words.append(self.rfile.read(size + 2)[:-2].decode())
                got.append(words)
                self.wfile.write(answer(words).encode() + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield server.server_address[1], got
        finally:
            server.shutdown()
            thread.join()
