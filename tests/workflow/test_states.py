"""ORD-3: the tables of states and steps, read from data that is checked."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fhir_server.packaged import folder
from fhir_server.workflow.states import load_workflow, workflow

FLOW = workflow()
FOLDER = folder("profiles") / "workflow"
PLAN = ["ordered", "scheduled", "in-progress", "completed", "reported"]
SAMPLE = ["ordered", "sample-collected", "in-progress", "completed", "reported"]
OPEN = {"pending-verification", "on-hold"}


@pytest.mark.parametrize(
    ("type_", "way"), [("imaging", PLAN), ("procedure", PLAN), ("laboratory", SAMPLE)]
)
def test_steps_forward_lead_along_the_way_of_each_type(type_: str, way: list[str]) -> None:
    """ORD-3: ordered → … → reported, one step after the other."""
    table = FLOW.tables[type_]
    forward = [step for step in table.steps if step.forward]
    assert [(step.origins, step.to) for step in forward] == [
        ((before,), after) for before, after in pairwise(way)
    ]
    assert table.initial == "ordered"


@pytest.mark.parametrize("type_", ["imaging", "procedure", "laboratory"])
def test_any_open_order_can_be_cancelled_and_put_on_hold(type_: str) -> None:
    """ORD-3: cancelled from any state before reported, on-hold and back from any open state."""
    table = FLOW.tables[type_]
    way = SAMPLE if type_ == "laboratory" else PLAN
    cancel, hold, resume = table.step("cancel"), table.step("hold"), table.step("resume")
    assert cancel is not None
    assert hold is not None
    assert resume is not None
    assert set(cancel.origins) == {*way[:-1], *OPEN}
    assert set(hold.origins) == {*way[:-1], "pending-verification"}
    assert (resume.origins, resume.returns) == (("on-hold",), "hold")


def test_roles_are_as_required() -> None:
    """ORD-9."""
    expected = {
        "schedule": {"receptionist", "scheduler"}, "collect-sample": {"technician", "nurse"},
        "start": {"technician", "nurse"}, "complete": {"technician", "nurse"},
        "report": {"radiologist"}, "cancel": {"doctor", "administrator"},
    }  # fmt: skip
    for table in FLOW.tables.values():
        # A doctor carries out and reports procedures.
        more = {"doctor"} if table.type == "procedure" else set()
        for step in table.steps:
            if step.name in expected:
                assert set(step.roles) - {"system"} - more == expected[step.name] - more
    pathologist = [code for code in FLOW.roles.codes if code.code == "pathologist"]
    assert [code.role for code in pathologist] == ["radiologist"]


def test_every_state_follows_from_the_first_one_and_ends() -> None:
    for table in FLOW.tables.values():
        reached = {table.initial, table.unverified}
        for _ in FLOW.states:
            reached |= {step.to for step in table.steps if step.to and reached & set(step.origins)}
        ends = {code for code in reached if not FLOW.states[code].open}
        assert ends == {"reported", "cancelled", "rejected"}
        named = {origin for step in table.steps for origin in step.origins}
        assert named <= reached


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("imaging", lambda d: d["steps"][0].update(to="nowhere"), "'nowhere' is no state"),
        ("imaging", lambda d: d["steps"][0].update(roles=["cook"]), "'cook' is no role"),
        ("imaging", lambda d: d["steps"].append(d["steps"][0]), "the step verify comes twice"),
        ("imaging", lambda d: d["steps"].pop(2), "leads forward from scheduled; expected ordered"),
        ("imaging", lambda d: d["steps"][-1].update(returns="halt"), "'halt' is no step"),
        ("imaging", lambda d: d.update(type="images"), "the type is 'images'"),
        ("imaging", lambda d: d["steps"][0].update(rolls=[]), "unknown field `rolls`"),
        ("imaging", lambda d: d["steps"][0].pop("from"), "missing required field `from`"),
        ("states", lambda d: d["states"][0].update(request="waiting"), "'waiting' is no code"),
        ("states", lambda d: d["states"][0].update(task="waiting"), "'waiting' is no code"),
        ("roles", lambda d: d["codes"][0].update(role="cook"), "'cook' is no role"),
    ],
)
def test_wrong_data_is_refused_by_its_file(
    tmp_path: Path, file: str, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"{file}.json"
    data = json.loads(path.read_bytes())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=rf"{file}\.json: .*{told}"):
        load_workflow(tmp_path)
