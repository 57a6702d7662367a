"""ORD-3, ORD-5, ORD-9: each step in each state of each type of order, and who may do it."""

from typing import Any

import pytest

from fhir_server.outcome import Refusal
from fhir_server.security.principal import ROLES
from fhir_server.workflow.actors import Actor, roles_of, unnamed
from fhir_server.workflow.canonicals import WORKFLOW_ERROR
from fhir_server.workflow.recording import Note, business_status, noted, notes
from fhir_server.workflow.states import Step, Table, workflow
from fhir_server.workflow.steps import Advanced, Asked, Order, advance, told

FLOW = workflow()
AT = "2026-03-01T10:00:00.000Z"
INPUTS = {
    "reason": "no longer needed", "method": "by phone", "time": "2026-03-02T09:00:00Z",
    "findings": "nothing unusual", "impression": "no finding", "text": "the whole of the report",
    "result": "normal", "observation": [{"resourceType": "Observation"}],
    "specimen": {"reference": "Specimen/s"},
}  # fmt: skip
EVERYBODY = Actor({"display": "somebody"}, ROLES, "somebody", ROLES)
DEVICE = Actor({"reference": "Device/ct1"}, frozenset({"system"}), "somebody", ROLES)
PAIRS = [
    pytest.param(table, state, step, id=f"{table.type}-{state}-{step.name}")
    for table in FLOW.tables.values()
    for state in FLOW.states
    for step in table.steps
]


def order(state: str, before_hold: str = "ordered") -> Order:
    task: dict[str, Any] = {"resourceType": "Task", "id": "o", "status": FLOW.states[state].task}
    task["businessStatus"] = business_status(state)
    if state == "on-hold":
        task = noted(task, Note("hold", before_hold, AT, "x", {"display": "somebody"}))
    request = {
        "resourceType": "ServiceRequest",
        "id": "o",
        "status": FLOW.states[state].request,
        "subject": {"reference": "Patient/p"},
    }
    return Order(request, task)


def ask(step: str, actor: Actor = EVERYBODY, **inputs: Any) -> Asked:
    return Asked(step, INPUTS | inputs, actor, AT)


def refusal(table: Table, found: Order, asked: Asked) -> Refusal:
    with pytest.raises(Refusal) as caught:
        advance(FLOW, table, found, asked)
    return caught.value


@pytest.mark.parametrize(("table", "state", "step"), PAIRS)
def test_step_is_done_where_the_table_allows_it_and_refused_elsewhere(
    table: Table, state: str, step: Step
) -> None:
    """ORD-3, ORD-5: every pair of state and step of every type."""
    found = order(state)
    if state in step.origins:
        after = advance(FLOW, table, found, ask(step.name)).order
        expected = step.to or (state if not step.returns else "ordered")
        assert after.state == expected
        assert after.request["status"] == FLOW.states[expected].request
        assert after.task["status"] == FLOW.states[expected].task
        return
    refused = refusal(table, found, ask(step.name))
    (issue,) = refused.issues
    assert refused.status == 409
    assert issue.details == (WORKFLOW_ERROR, "INVALID_STATUS_TRANSITION")
    for part in ("ServiceRequest/o", state, step.name):
        assert part in issue.diagnostics


@pytest.mark.parametrize(("table", "state", "step"), PAIRS)
def test_system_moves_forward_over_what_may_be_left_out(
    table: Table, state: str, step: Step
) -> None:
    """ORD-3: a device may move an order forward several steps, which is recorded step by step."""
    found, asked = order(state), ask(step.name, DEVICE)
    way = [each for each in table.steps if each.forward]
    states = [table.initial, *(each.to for each in way)]
    if "system" not in step.roles:
        assert refusal(table, found, asked).status == 403
    elif state in step.origins:
        assert len(advance(FLOW, table, found, asked).taken) == 1
    elif state in states and step.name in ("report", "preliminary-report", *_names(way)):
        here = states.index(state)
        there = min(map(states.index, step.origins))
        if here > there:
            assert refusal(table, found, asked).status == 409
            return
        done = advance(FLOW, table, found, asked)
        assert [each.before for each in done.taken] == states[here : there + 1]
        assert [each.step.name for each in done.taken[:-1]] == _names(way[here:there])
        assert len(told(done, asked)) == len(done.taken)
        assert set(notes(done.order.task)) >= {each.step.name for each in done.taken}
    else:
        assert refusal(table, found, asked).status == 409


def _names(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


@pytest.mark.parametrize("table", FLOW.tables.values(), ids=FLOW.tables)
def test_person_skips_no_step(table: Table) -> None:
    """ORD-3: no step can be skipped by a person, not even one with all roles."""
    assert refusal(table, order("ordered"), ask("complete")).status == 409
    technician = Actor({"reference": "Practitioner/t"}, frozenset({"technician"}), "t", ROLES)
    assert refusal(table, order("ordered"), ask("complete", technician)).status == 409


def test_device_skips_nothing_for_somebody_who_is_no_system() -> None:
    """ORD-9: who is logged in must be permitted as well as who is named."""
    borrowed = Actor({"reference": "Device/ct1"}, frozenset({"system"}), "t", frozenset({"nurse"}))
    table = FLOW.tables["imaging"]
    assert refusal(table, order("ordered"), ask("complete", borrowed)).status == 409
    assert refusal(table, order("ordered"), ask("schedule", borrowed)).status == 403


def test_system_that_is_logged_in_skips_as_a_device_does() -> None:
    """V2-1: messages come by a login that is nothing but a system."""
    mllp = unnamed("mllp", frozenset({"system"}))
    done = advance(FLOW, FLOW.tables["imaging"], order("ordered"), ask("report", mllp))
    assert [each.step.name for each in done.taken] == ["schedule", "start", "complete", "report"]
    assert done.order.state == "reported"


def test_results_need_a_sample_even_from_a_system() -> None:
    """ORD-6: results before the sample is collected are refused."""
    table = FLOW.tables["laboratory"]
    refused = refusal(table, order("ordered"), ask("report", DEVICE, specimen=None))
    assert refused.status == 409
    assert "nothing tells of collect-sample" in str(refused)
    assert "expected specimen" in str(refused)
    done = advance(FLOW, table, order("ordered"), ask("report", DEVICE))
    assert done.order.request["specimen"] == [{"reference": "Specimen/s"}]


@pytest.mark.parametrize(
    ("step", "role"),
    [
        (step, role)
        for table in FLOW.tables.values()
        for step in table.steps
        for role in sorted(ROLES)
    ],
)
def test_only_the_roles_of_the_table_may(step: Step, role: str) -> None:
    """ORD-9: who may do what, as data."""
    (table,) = (each for each in FLOW.tables.values() if step in each.steps and _own(each, step))
    state = step.origins[0]
    for actor in (
        Actor({"reference": "Practitioner/x"}, frozenset({role}), "x", ROLES),
        Actor({"display": "x"}, ROLES, "x", frozenset({role})),
    ):
        if role in step.roles:
            assert advance(FLOW, table, order(state), ask(step.name, actor)).taken
        else:
            refused = refusal(table, order(state), ask(step.name, actor))
            assert refused.status == 403
            assert refused.issues[0].code == "forbidden"


def _own(table: Table, step: Step) -> bool:
    return next(each for each in FLOW.tables.values() if step in each.steps) is table


@pytest.mark.parametrize("step", ["cancel", "reject", "amend"])
def test_reason_of_less_than_ten_characters_is_wrong_input(step: str) -> None:
    """ORD-4, ORD-5: 422 if the input itself is wrong."""
    table = FLOW.tables["imaging"]
    found = table.step(step)
    assert found is not None
    for reason in ("too short", "  padded   ", "", None):
        refused = refusal(table, order(found.origins[0]), ask(step, reason=reason))
        assert refused.status == 422
        assert refused.issues[0].details == (WORKFLOW_ERROR, "VALIDATION_ERROR")
        assert "reason" in refused.issues[0].diagnostics


def test_everything_missing_is_told_at_once() -> None:
    table = FLOW.tables["laboratory"]
    asked = Asked("report", {"text": "short"}, EVERYBODY, AT)
    refused = refusal(table, order("completed"), asked)
    told_ = [issue.diagnostics for issue in refused.issues]
    assert told_ == [
        "report needs findings",
        "report needs impression",
        "report needs result",
        "report needs observation",
        "text has 5 characters; expected at least 20",
    ]


@pytest.mark.parametrize(
    ("table", "state", "step"),
    [
        pytest.param(table, state, step, id=f"{table.type}-{state}-{step.name}")
        for table in FLOW.tables.values()
        for step in table.steps
        for state in step.origins
    ],
)
def test_same_step_again_changes_nothing(table: Table, state: str, step: Step) -> None:
    """ORD-4: safe to repeat with the same input, also after the order went on."""
    done = advance(FLOW, table, order(state), ask(step.name))
    again = advance(FLOW, table, done.order, ask(step.name))
    assert again == Advanced(done.order)
    other = Actor({"reference": "Practitioner/other"}, ROLES, "other", ROLES)
    if step.to:
        assert refusal(table, done.order, ask(step.name, other)).status == 409


def test_step_is_repeated_even_when_others_followed() -> None:
    """ORD-4: an answer that was lost can be asked for again at any time."""
    table = FLOW.tables["imaging"]
    scheduled = advance(FLOW, table, order("ordered"), ask("schedule")).order
    started = advance(FLOW, table, scheduled, ask("start")).order
    assert advance(FLOW, table, started, ask("schedule")) == Advanced(started)
    assert refusal(table, started, ask("schedule", time="2026-03-03")).status == 409


@pytest.mark.parametrize("state", ["pending-verification", "ordered", "scheduled", "completed"])
def test_order_goes_on_where_it_was_put_on_hold(state: str) -> None:
    """ORD-3: on-hold and back; and so a second time with the same words."""
    table = FLOW.tables["imaging"]
    current = order(state)
    for _ in range(2):
        held = advance(FLOW, table, current, ask("hold"))
        assert (held.order.state, len(held.taken)) == ("on-hold", 1)
        assert held.order.task["statusReason"] == {"text": INPUTS["reason"]}
        resumed = advance(FLOW, table, held.order, ask("resume"))
        assert (resumed.order.state, len(resumed.taken)) == (state, 1)
        assert "statusReason" not in resumed.order.task
        current = resumed.order


def test_schedule_says_when_who_and_where_on_order_and_task() -> None:
    """ORD-4."""
    given: dict[str, Any] = {
        "end": "2026-03-02T09:30:00Z",
        "performer": {"reference": "Practitioner/t"},
        "location": {"reference": "Location/ct1"},
        "instructions": "Nothing to eat",
    }
    table = FLOW.tables["imaging"]
    after = advance(FLOW, table, order("ordered"), ask("schedule", **given)).order
    period = {"start": INPUTS["time"], "end": given["end"]}
    assert after.request["occurrencePeriod"] == period
    assert after.request["performer"] == [given["performer"]]
    assert after.request["locationReference"] == [given["location"]]
    assert after.request["patientInstruction"] == "Nothing to eat"
    assert after.task["restriction"] == {"period": period}
    assert after.task["owner"] == given["performer"]
    assert after.task["location"] == given["location"]


def test_schedule_replaces_the_time_that_was_wished_for() -> None:
    table = FLOW.tables["procedure"]
    found = order("ordered")
    found.request["occurrencePeriod"] = {"start": "2026-03-01"}
    after = advance(FLOW, table, found, ask("schedule")).order.request
    assert after["occurrenceDateTime"] == INPUTS["time"]
    assert "occurrencePeriod" not in after


def test_performing_is_recorded_from_start_to_end() -> None:
    """ORD-4: records time and actor."""
    table = FLOW.tables["imaging"]
    technician = Actor({"reference": "Practitioner/t"}, frozenset({"technician"}), "t", ROLES)
    first = ask("start", technician, time=None)
    started = advance(FLOW, table, order("scheduled"), first).order
    assert started.task["executionPeriod"] == {"start": AT}
    assert started.task["owner"] == technician.reference
    done = advance(FLOW, table, started, ask("complete", technician)).order
    assert done.task["executionPeriod"] == {"start": AT, "end": INPUTS["time"]}
    assert notes(done.task)["complete"].actor == technician.reference


def test_provenance_tells_step_actor_reason_and_cause() -> None:
    table = FLOW.tables["imaging"]
    asked = Asked("cancel", INPUTS, DEVICE, AT, ["Communication/m"])
    (found,) = told(advance(FLOW, table, order("scheduled"), asked), asked, sources=["Coverage/c"])
    base = "https://fhir-server.example/r4"
    assert found == {
        "resourceType": "Provenance",
        "target": [{"reference": "ServiceRequest/o"}, {"reference": "Task/o"}],
        "occurredDateTime": AT,
        "recorded": AT,
        "activity": {"coding": [{"system": f"{base}/CodeSystem/order-step", "code": "cancel"}]},
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/"
                            "provenance-participant-type",
                            "code": "performer",
                        }
                    ]
                },
                "who": {"reference": "Device/ct1"},
            }
        ],
        "extension": [
            {
                "url": f"{base}/StructureDefinition/order-transition",
                "extension": [
                    {
                        "url": name,
                        "valueCoding": {"system": f"{base}/CodeSystem/order-status", "code": code},
                    }
                    for name, code in (("from", "scheduled"), ("to", "cancelled"))
                ],
            }
        ],
        "reason": [{"text": "no longer needed"}],
        "entity": [
            {"role": "derivation", "what": {"reference": "Communication/m"}},
            {"role": "source", "what": {"reference": "Coverage/c"}},
        ],
    }


def test_verification_keeps_how_and_the_coverage() -> None:
    """ORD-3: who verified, how, and the coverage details."""
    table = FLOW.tables["procedure"]
    coverage = {"reference": "Coverage/c"}
    asked = ask("verify", coverage=coverage, details="no co-payment")
    after = advance(FLOW, table, order("pending-verification"), asked).order
    assert after.request["insurance"] == [coverage]
    assert after.task["insurance"] == [coverage]
    assert [each["valueString"] for each in after.task["output"]] == ["by phone", "no co-payment"]


def test_roles_come_from_roles_in_use_by_their_codes() -> None:
    """ORD-9."""
    nucc = {"system": "http://nucc.org/provider-taxonomy", "code": "2085R0202X"}
    own = {"system": "https://fhir-server.example/r4/CodeSystem/role", "code": "nurse"}
    unknown = {"system": "http://example.org", "code": "nurse"}
    held: list[dict[str, Any]] = [
        {"code": [{"coding": [nucc, unknown]}]},
        {"code": [{"coding": [own]}], "active": False},
        {},
    ]
    assert roles_of(FLOW.roles, held) == {"radiologist"}
