"""Pytest plugin: a run that was given real data must have used it.

Loaded by `.ci/run` alone. Tests of real images skip where the images are absent,
so a wrong path would turn every one of them off in silence; this makes that fail.
"""

import os

import pytest

VARIABLE = "KERAS_XCONS_TEST_DATA"


class _RealDataRan:
    def __init__(self):
        self.passed = 0

    def pytest_runtest_logreport(self, report):
        """Counts the passed tests; with pytest-xdist the reports arrive here too."""
        if report.when == "call" and report.passed and "real_data" in report.keywords:
            self.passed += 1

    def pytest_sessionfinish(self, session):
        """Turns a green run without one passed real-data test into a failure."""
        if self.passed == 0 and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        """Says how many real-data tests passed."""
        terminalreporter.write_line(
            f"{self.passed} tests of real data passed ({VARIABLE} is set)",
            red=self.passed == 0,
        )


def pytest_configure(config):
    """Registers the check in the process that reports, where data was given."""
    is_worker = hasattr(config, "workerinput")
    if os.environ.get(VARIABLE) and not is_worker:
        config.pluginmanager.register(_RealDataRan(), "real-data-ran")
