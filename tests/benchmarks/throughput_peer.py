"""One peer of the throughput comparison, alone in its process: PEER FOLDER N."""

import sys
from pathlib import Path

from tests.benchmarks.throughput import peer_main

if __name__ == "__main__":
    peer_main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
