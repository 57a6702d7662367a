"""A pytest plugin: where FHIR_SERVER_CI is set, a skipped test fails the run."""

import os

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green run with skipped tests red."""
    if _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say why the run is red."""
    if count := _skipped(config):
        terminalreporter.write_line(
            f"{count} skipped: not allowed where FHIR_SERVER_CI is set", red=True
        )


def _skipped(config: pytest.Config) -> int:
    if not os.environ.get("FHIR_SERVER_CI"):
        return 0
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter else 0
