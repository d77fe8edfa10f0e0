"""Whether the process of this container answers on /healthz: exit code 0 or 1. Stands alone, to start fast.

`python healthy.py [PORT]`; by default the port is that of the metrics.
"""

from __future__ import annotations

import http.client
import os
import sys

SECONDS = 4


def healthy(port: int) -> bool:
    """Whether it answers 200 on this port, within SECONDS."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    port = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DETECTOR_METRICS_PORT", "9108")
    sys.exit(not healthy(int(port)))
