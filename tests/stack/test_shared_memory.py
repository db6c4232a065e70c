"""What a killed orchestrator shared with Triton is cleared away by its supervisor."""

import os
import signal
import subprocess
import sys

from orchestrator.adapters.shared_regions import SHARED_MEMORY, SharedRegion
from stemyard.stack.triton import remove_clients_memory

MAKER = """
import sys
from orchestrator.adapters.shared_regions import SharedRegion
print(SharedRegion.make(4096).name, flush=True)
sys.stdin.read()
"""


def test_regions_go_with_the_process_that_made_them() -> None:
    ours = SharedRegion.make(4096)
    with subprocess.Popen(
        [sys.executable, "-c", MAKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        theirs = SHARED_MEMORY / maker.stdout.readline().strip()
        os.kill(maker.pid, signal.SIGKILL)
        maker.wait()
        assert theirs.exists()
        remove_clients_memory(maker.pid)
    assert not theirs.exists()
    assert (SHARED_MEMORY / ours.name).exists()
    ours.close()
