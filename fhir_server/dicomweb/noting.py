"""What leaves by DICOMweb, as events of the audit trail."""

from collections.abc import Awaitable, Callable
from functools import wraps

from fastapi import Request, Response

from fhir_server.audit.trail import CREATE, EXECUTE, MINOR_FAILURE, READ, SUCCESS, Audit, Event
from fhir_server.outcome import Refusal

Handler = Callable[[Request], Awaitable[Response]]

_STUDY = "ImagingStudy"


def noting(audit: Audit, handler: Handler) -> Handler:
    """A handler whose answer is noted before it leaves, with its refusals.

    The handler says who asks in `request.state.ctx`, and in `shown` which studies it has found.
    Whoever does not get that far has been noted at the gate.
    """
    if not audit.on:
        return handler

    @wraps(handler)
    async def noted(request: Request) -> Response:
        try:
            response = await handler(request)
        except Refusal as refusal:
            reason = f"{refusal.issues[0].code} {refusal.status}"
            await _note(audit, request, handler.__name__, MINOR_FAILURE, reason)
            raise
        await _note(audit, request, handler.__name__, SUCCESS, "")
        return response

    return noted


async def _note(audit: Audit, request: Request, name: str, outcome: str, reason: str) -> None:
    ctx = getattr(request.state, "ctx", None)
    if ctx is None:
        return
    study = request.path_params.get("study", "")
    finding = name.startswith("find")
    action = CREATE if name == "store" else EXECUTE if finding else READ
    event = Event(
        action,
        f"dicomweb-{name.replace('_', '-')}",
        _STUDY,
        study,
        shown=[f"{_STUDY}/{each}" for each in getattr(request.state, "shown", ())],
        query=request.url.query if finding else request.url.path,
        outcome=outcome,
        reason=reason,
    )
    await audit.note(ctx, event)
