"""Every operation this server has, as data: routing, capabilities and OpenAPI walk its routes."""

from fhir_server.interactions.routing import InteractionDefinition
from fhir_server.operations.convert import CONVERT
from fhir_server.operations.dicom_tags import MODIFY_TAGS, READ_TAGS
from fhir_server.operations.document import DOCUMENT
from fhir_server.operations.everything import ENCOUNTER_EVERYTHING, PATIENT_EVERYTHING
from fhir_server.operations.expand import EXPAND
from fhir_server.operations.imaging_delete import DELETE_STUDY
from fhir_server.operations.imaging_link import LINK, UNLINK
from fhir_server.operations.lastn import LASTN
from fhir_server.operations.lookup import LOOKUP
from fhir_server.operations.message_replay import REPLAY
from fhir_server.operations.message_view import VIEW_MESSAGE
from fhir_server.operations.message_waiting import LIST_WAITING
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
from fhir_server.operations.verify_audit import VERIFY_AUDIT
from fhir_server.spec import Definitions

OPERATIONS: tuple[Operation, ...] = (
    ACKNOWLEDGE,
    AMEND,
    COLLECT_SAMPLE,
    CONVERT,
    DELETE_STUDY,
    DOCUMENT,
    ENCOUNTER_EVERYTHING,
    EXPAND,
    LASTN,
    LINK,
    LIST_WAITING,
    LOOKUP,
    META,
    META_ADD,
    META_DELETE,
    MODIFY_TAGS,
    PATIENT_EVERYTHING,
    *ORDER_MOVES,
    PROCESS_MESSAGE,
    READ_TAGS,
    RUN_TEST_SCRIPT,
    REPLAY,
    REPORT_ON_ORDER,
    SUBSUMES,
    TIMELINE,
    TRANSLATE,
    UNLINK,
    VALIDATE,
    VALIDATE_IN_CODE_SYSTEM,
    VALIDATE_IN_VALUE_SET,
    VERIFY_AUDIT,
    VIEW_MESSAGE,
)


def operation_routes(definitions: Definitions) -> tuple[InteractionDefinition, ...]:
    """Every method and path that calls an operation."""
    return tuple(route for item in OPERATIONS for route in routes(item, definitions))
