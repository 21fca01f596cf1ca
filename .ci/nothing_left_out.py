"""Pytest plugin: a run that has real data, or a browser, must have used it.

Loaded by `.ci/run` alone. Tests of real images skip where the images are absent, and
tests of pages where there is no browser, so a wrong path would turn every one of them
off in silence; this makes that fail.
"""

import os

import pytest

VARIABLE = "KERAS_XCONS_TEST_DATA"


class _NothingLeftOut:
    def __init__(self, markers):
        self.passed = dict.fromkeys(markers, 0)

    def pytest_runtest_logreport(self, report):
        """Counts the passed tests; with pytest-xdist the reports arrive here too."""
        if report.when == "call" and report.passed:
            for marker in self.passed.keys() & report.keywords.keys():
                self.passed[marker] += 1

    def pytest_sessionfinish(self, session):
        """Turns a green run without one passed test of a kind into a failure."""
        if 0 in self.passed.values() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        """Says how many tests of each kind passed."""
        for marker, count in self.passed.items():
            terminalreporter.write_line(
                f"{count} tests marked {marker!r} passed", red=count == 0
            )


def pytest_configure(config):
    """Registers the check in the process that reports."""
    if not hasattr(config, "workerinput"):
        markers = ["browser"]
        if os.environ.get(VARIABLE):
            markers.append("real_data")
        config.pluginmanager.register(_NothingLeftOut(markers), "nothing-left-out")
