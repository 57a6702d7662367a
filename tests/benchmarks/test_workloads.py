"""Every workload against the real server: a figure of wrong answers would be worth nothing."""

from collections.abc import Iterator

import pytest

from benchmarks.compare import compare
from benchmarks.measure import Target, measure, prepare
from benchmarks.workloads import WORKLOADS
from tests.conftest import RunningServer, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    directory = tmp_path_factory.mktemp("benchmarks")
    directory.chmod(0o755)
    with running_server(directory, "--data-dir", str(directory), "--workers", "1") as running:
        yield running


@pytest.fixture(scope="module")
async def target(server: RunningServer) -> Target:
    return await prepare(server.base_url, patients=40)


@pytest.mark.parametrize("workload", WORKLOADS)
async def test_workload_is_answered_without_errors(workload: str, target: Target) -> None:
    figures = await measure(target, workload, seconds=0.3, clients=4)
    assert figures.reasons == ()
    assert figures.errors == 0
    assert figures.requests > 0
    assert 0 < figures.p50 <= figures.p99


async def test_wrong_answer_counts_as_an_error(target: Target) -> None:
    absent = Target(target.base_url, ["absent"])
    figures = await measure(absent, "read", seconds=0.1, clients=1)
    assert figures.errors == figures.requests > 0
    assert figures.reasons[0].startswith("GET /Patient/absent: 404")


async def test_bare_loop_and_server_are_measured_in_turns() -> None:
    comparisons = await compare(seconds=0.3, clients=4, rounds=2, workers=1)
    assert [c.workload for c in comparisons] == ["read", "create"]
    for c in comparisons:
        assert [f.reasons for f in c.ours + c.bare] == [()] * 4
        assert len(c.ratios) == 2
        assert min(c.ratios) > 0
