"""The canonical URLs and systems of what this server defines itself, and those it uses."""

# Never resolves, on purpose: what it names comes with the server.
BASE = "https://fhir-server.example/r4"

ORDER_TYPE = f"{BASE}/CodeSystem/order-type"
ORDER_STATUS = f"{BASE}/CodeSystem/order-status"
ORDER_STEP = f"{BASE}/CodeSystem/order-step"
ROLE = f"{BASE}/CodeSystem/role"
WORKFLOW_ERROR = f"{BASE}/CodeSystem/workflow-error"

ORDER_NUMBER = f"{BASE}/order-number"
ACCESSION_NUMBER = f"{BASE}/accession-number"

# Of HL7.
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"


def structure_definition(name: str) -> str:
    """The canonical of one of our StructureDefinitions, such as `imaging-order`."""
    return f"{BASE}/StructureDefinition/{name}"


def operation_definition(name: str) -> str:
    """The canonical of one of our OperationDefinitions, such as `ServiceRequest-schedule`."""
    return f"{BASE}/OperationDefinition/{name}"
