"""Orthanc's side of the bridge: tells the FHIR server what to look at, and shuts doors.

Runs in Orthanc's own Python (the plugin orthanc-python), so with the standard library alone. From
the environment: FHIR_HINT_URL, where hints go, such as http://server:8080/orthanc/hint, and
FHIR_HINT_SECRET, which signs them. Without these no hints go out and the server finds by itself
what came, only later: a hint is never needed, and one that is lost does no harm.
"""

import contextlib
import hashlib
import hmac
import json
import os
import posixpath
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import orthanc

URL = os.environ.get("FHIR_HINT_URL", "")
SECRET = os.environ.get("FHIR_HINT_SECRET", "")
ATTEMPTS = 3
PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 5
MOST_WAITING = 10_000

# Whoever may use the REST API could otherwise stop Orthanc, lose its changes, have it run scripts,
# let it call other machines, or have names of patients logged.
CLOSED = {
    "/changes": ("DELETE",),
    "/exports": ("DELETE",),
    "/modalities": ("PUT", "POST", "DELETE"),
    "/peers": ("PUT", "POST", "DELETE"),
    "/dicom-web/servers": ("PUT", "POST", "DELETE"),
    "/tools/execute-script": ("POST",),
    "/tools/log-level": ("PUT",),
    "/tools/reset": ("POST",),
    "/tools/shutdown": ("POST",),
    "/tools/bulk-delete": ("POST",),
}

METHODS = {
    orthanc.HttpMethod.GET: "GET",
    orthanc.HttpMethod.POST: "POST",
    orthanc.HttpMethod.PUT: "PUT",
    orthanc.HttpMethod.DELETE: "DELETE",
}
KINDS = {
    orthanc.ChangeType.STABLE_STUDY: "stable",
    orthanc.ChangeType.DELETED: "deleted",
}

_hints = queue.Queue(MOST_WAITING)


def is_closed(method, uri):
    """Whether a request is one of those that nobody may make."""
    path, before = uri, None
    while path != before:
        path, before = urllib.parse.unquote(path), path
    path = posixpath.normpath("/" + path.lstrip("/"))
    return any(
        method in methods and (path == closed or path.startswith((closed + "/", closed + "-")))
        for closed, methods in CLOSED.items()
    )


def filter_request(uri, **request):
    """What Orthanc asks before it answers a request."""
    return not is_closed(METHODS[request["method"]], uri)


def on_change(change, level, resource):
    """What Orthanc calls after a change: it only puts aside what is worth a hint."""
    if level == orthanc.ResourceType.STUDY and change in KINDS:
        with contextlib.suppress(queue.Full):
            _hints.put_nowait({"change": KINDS[change], "study": resource})


def signature(moment, body):
    """The signature of a hint, over its time and its body."""
    message = str(moment).encode() + b"." + body
    return hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()


def send(hint):
    """Send one hint; after a few attempts it is forgotten."""
    body = json.dumps(hint).encode()
    for attempt in range(1, ATTEMPTS + 1):
        moment = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "X-Hint-Time": str(moment),
            "X-Hint-Signature": signature(moment, body),
        }
        request = urllib.request.Request(URL, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                orthanc.LogWarning(f"a hint was refused with {error.code}")
                return
        except OSError:
            pass
        time.sleep(PAUSE_SECONDS * attempt)


def keep_sending():
    """Send hints as they come."""
    while True:
        send(_hints.get())


def check_configuration():
    """Refuse to run an Orthanc that deletes the oldest patients when it is full."""
    configuration = json.loads(orthanc.GetConfiguration())
    for name in ("MaximumStorageSize", "MaximumPatientCount"):
        if configuration.get(name, 0) != 0 and configuration.get("MaximumStorageMode") != "Reject":
            raise ValueError(name + " must be 0: Orthanc would delete patients without a word")


check_configuration()
orthanc.RegisterIncomingHttpRequestFilter(filter_request)
if URL and SECRET:
    orthanc.RegisterOnChangeCallback(on_change)
    threading.Thread(target=keep_sending, daemon=True).start()
else:
    orthanc.LogWarning("FHIR_HINT_URL or FHIR_HINT_SECRET is not set: no hints go out")
