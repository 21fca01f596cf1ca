import os
import subprocess
import sys

from keras_xcons import processes


def test_a_process_runs_until_it_ends():
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as one:
        started = processes.start_time(one.pid)
        assert processes.is_running(one.pid)
        assert processes.is_running(one.pid, started)
        # Another one that had this id before.
        assert not processes.is_running(one.pid, started - 1)
        one.kill()
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        # Ended, and not yet collected.
        assert not processes.is_running(one.pid, started)
    assert not processes.is_running(one.pid, started)
    assert processes.start_time(one.pid) is None
    assert not processes.is_running(2**40)
