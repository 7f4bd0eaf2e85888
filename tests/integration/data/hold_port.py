"""Hold a port as an outgoing connection does: ``hold_port.py PORT HOST SERVER_PORT``."""

import socket
import sys
import time

port, host, server_port = sys.argv[1:]
connection = socket.create_connection((host, int(server_port)), source_address=("", int(port)))
print(connection.getsockname(), flush=True)  # noqa: T201
time.sleep(600)
