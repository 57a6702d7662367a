"""Every operation this server has, as data: routing, capabilities and OpenAPI walk its routes."""

from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.operations.convert import CONVERT
from fhir_server.operations.document import DOCUMENT
from fhir_server.operations.everything import ENCOUNTER_EVERYTHING, PATIENT_EVERYTHING
from fhir_server.operations.expand import EXPAND
from fhir_server.operations.lastn import LASTN
from fhir_server.operations.lookup import LOOKUP
from fhir_server.operations.meta import META
from fhir_server.operations.meta_change import META_ADD, META_DELETE
from fhir_server.operations.operation import Operation, routes
from fhir_server.operations.order_moves import ORDER_MOVES
from fhir_server.operations.order_report import ACKNOWLEDGE, AMEND, REPORT_ON_ORDER
from fhir_server.operations.order_sample import COLLECT_SAMPLE
from fhir_server.operations.order_timeline import TIMELINE
from fhir_server.operations.process_message import PROCESS_MESSAGE
from fhir_server.operations.run_test_script import RUN_TEST_SCRIPT
from fhir_server.operations.subsumes import SUBSUMES
from fhir_server.operations.translate import TRANSLATE
from fhir_server.operations.validate import VALIDATE
from fhir_server.operations.validate_code import VALIDATE_IN_CODE_SYSTEM, VALIDATE_IN_VALUE_SET
from fhir_server.spec import Definitions

OPERATIONS: tuple[Operation, ...] = (
    ACKNOWLEDGE,
    AMEND,
    COLLECT_SAMPLE,
    CONVERT,
    DOCUMENT,
    ENCOUNTER_EVERYTHING,
    EXPAND,
    LASTN,
    LOOKUP,
    META,
    META_ADD,
    META_DELETE,
    PATIENT_EVERYTHING,
    *ORDER_MOVES,
    PROCESS_MESSAGE,
    RUN_TEST_SCRIPT,
    REPORT_ON_ORDER,
    SUBSUMES,
    TIMELINE,
    TRANSLATE,
    VALIDATE,
    VALIDATE_IN_CODE_SYSTEM,
    VALIDATE_IN_VALUE_SET,
)


def operation_routes(definitions: Definitions) -> tuple[InteractionDefinition, ...]:
    """Every method and path that calls an operation."""
    return tuple(route for item in OPERATIONS for route in routes(item, definitions))
