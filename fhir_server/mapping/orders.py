"""What messages ask for in the workflow of orders, as data: who carries it out is elsewhere.

`mappings/orders.yaml` says by ORC-1, ORC-5 and what the sender is to orders what becomes of an
order; for results the status of the report stands for ORC-5 (HL7 v2 4.5.1, tables 0119 and 0038).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.mapping.entries import Entry, Find
from fhir_server.mapping.evaluation import One, compile_one, text_of
from fhir_server.mapping.rules import Json, texts
from fhir_server.mapping.scope import Mark, Run, Scope
from fhir_server.workflow.interpretation import ABNORMAL, CRITICAL, codes

ORDER, REPORT = "order", "report"
_ANY = "*"


@dataclass(frozen=True, slots=True)
class OrderStep:
    """What a message says of one order.

    order: its identifiers as `system|value`, the best first. url: of the order's entry among the
    resources of the message; for results that of the report, which `inputs` names too.
    control, status: ORC-1 and ORC-5, or the report's status.
    action: `create`, `update`, `replaced`, `replacing`, `child`, `number` (the order gets another
    identifier), `query` (its state is asked for) or `none`.
    step: of the workflow, empty for none; `inputs` are its.
    unknown: `create` or `refuse`: what to do when the order is not here.
    reply, refused: ORC-1 of an answer when it is done, and when it is not.
    replaces: the order in whose place this one comes.
    """

    order: tuple[str, ...]
    url: str
    control: str
    status: str
    action: str
    step: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    unknown: str = "refuse"
    reply: str = "OK"
    refused: str = "UA"
    where: str = ""
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    controls: tuple[str, ...]
    statuses: tuple[str, ...]
    role: str | None
    data: Json
    inputs: Mapping[str, One]

    def fits(self, control: str, status: str, role: str | None) -> bool:
        return (
            (control in self.controls or _ANY in self.controls)
            and (status in self.statuses or _ANY in self.statuses)
            and (self.role is None or self.role == role)
        )


class OrderRules:
    """The rows of the table; the first that fits counts.

    role: what the sender is to orders, where an overlay says so.
    """

    def __init__(self, rows: Sequence[Json], role: str | None) -> None:
        self.role = role
        self._rows = [
            _Row(
                texts(row["control"]),
                texts(row.get("status", _ANY)),
                row.get("role"),
                row,
                {name: compile_one(text) for name, text in row.get("inputs", {}).items()},
            )
            for row in rows
        ]

    def find(self, control: str, status: str) -> "_Row | None":
        """The row for an order; None if there is none."""
        return next((r for r in self._rows if r.fits(control, status, self.role)), None)


def order_steps(rules: OrderRules, run: Run, entries: Sequence[Entry]) -> list[OrderStep]:
    """What a message says of orders, in its order; it also gives each order its status."""
    steps = []
    replaced: tuple[str, ...] = ()
    for entry in entries:
        if entry.name == ORDER:
            step = _of_order(rules, run, entry, replaced)
            if step.action == "replaced":
                replaced = step.order
            steps.append(step)
        elif entry.name == REPORT and (order := _based_on(entry)):
            steps.append(_of_result(rules, run, entry, order, entries))
    return steps


def _of_order(rules: OrderRules, run: Run, entry: Entry, replaced: tuple[str, ...]) -> OrderStep:
    assert entry.group is not None
    scope = Scope(run, entry.group)
    orc = scope.find("ORC")
    control = _first(scope, _CONTROL)
    status = _first(scope, _STATUS)
    row = rules.find(control, status)
    where = orc.where if orc else ""
    if row is None or row.data.get("issue"):
        told = row.data["issue"] if row else "no rule for it"
        text = f"ORC-1 {control or 'empty'}, ORC-5 {status or 'empty'}: {told}"
        run.tell("warning", "103", text, orc)
    data: Json = row.data if row else {"action": "none"}
    request = data.get("request", "unknown")
    if "status" not in entry.resource:
        entry.resource["status"] = request
        if run.trace is not None:
            label = f"orders.yaml {control}"
            run.trace[id(entry.resource), "status"] = Mark(label, f"{where}-1" if where else "")
    action = data["action"]
    if action == "replacing" and replaced:
        _replace(entry, replaced)
    return OrderStep(
        order=entry.tokens,
        url=entry.full_url,
        control=control,
        status=status,
        action=action,
        step=data.get("step", ""),
        inputs=_inputs(row, scope),
        unknown=data.get("unknown", "refuse"),
        reply=data.get("reply", "OK"),
        refused=data.get("refused", "UA"),
        where=where,
        replaces=replaced if action == "replacing" else (),
    )


_CONTROL = compile_one("ORC-1.1")
_STATUS = compile_one("ORC-5.1")


def _first(scope: Scope, one: Callable[[Scope], Any]) -> str:
    return text_of(one(scope))


def _inputs(row: _Row | None, scope: Scope) -> dict[str, Any]:
    found = {name: text_of(one(scope)) for name, one in row.inputs.items()} if row else {}
    return {name: text for name, text in found.items() if text}


def _replace(entry: Entry, replaced: tuple[str, ...]) -> None:
    """R4 servicerequest.html, `replaces`: the order that this one stands for now."""
    system, _, value = replaced[0].partition("|")
    reference = {"type": "ServiceRequest", "identifier": {"system": system, "value": value}}
    container = entry.resource.setdefault("replaces", [])
    container.append(reference)
    entry.finds.append(Find(container, len(container) - 1, "ServiceRequest", replaced))


def _based_on(entry: Entry) -> tuple[str, ...]:
    found = (each.tokens for each in entry.finds if each.type == "ServiceRequest")
    return tuple(token for tokens in found for token in tokens)


def _of_result(
    rules: OrderRules,
    run: Run,
    entry: Entry,
    order: tuple[str, ...],
    entries: Sequence[Entry],
) -> OrderStep:
    assert entry.group is not None
    scope = Scope(run, entry.group)
    status = entry.resource.get("status", "")
    row = rules.find("RE", status)
    data: Json = row.data if row else {"action": "none"}
    urls = [each["reference"] for each in entry.resource.get("result", ())]
    inputs: dict[str, Any] = {"status": status, "report": entry.full_url}
    if urls:
        inputs["observation"] = urls
    if data.get("step"):
        observations = [each.resource for each in entries if each.full_url in urls]
        inputs |= {"result": result_of(observations)} | _inputs(row, scope)
    return OrderStep(
        order=order,
        url=entry.full_url,
        control="RE",
        status=status,
        action=data["action"],
        step=data.get("step", ""),
        inputs=inputs,
        unknown=data.get("unknown", "create"),
    )


def result_of(observations: Sequence[Mapping[str, Any]]) -> str:
    """`normal`, `abnormal` or `critical`, by what the observations say they mean."""
    found = {code for each in observations for code in codes(dict(each))}
    if found & CRITICAL:
        return "critical"
    return "abnormal" if found & ABNORMAL else "normal"
