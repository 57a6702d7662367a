"""The parts of a process beside FHIR: images, modalities, messages, and what orders are like."""

from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from fhir_server.background.tasks import Loop
from fhir_server.background.territories import Tenants
from fhir_server.dicom.settings import ArchiveSettings, BridgeSettings
from fhir_server.http.pages import Health
from fhir_server.interactions.engine import Engine
from fhir_server.mapping.shipped import shipped_mapper
from fhir_server.messaging.settings import read_messaging
from fhir_server.messaging.watching import watch_nothing
from fhir_server.packaged import folder
from fhir_server.places import DICOMWEB_PATH, FHIR_PATH, local_base_url
from fhir_server.security.gate import Gate
from fhir_server.settings import Settings
from fhir_server.storage.listen import Listener
from fhir_server.storage.migrate import DEFAULT_TENANT
from fhir_server.tenant_settings import TenantSettings
from fhir_server.uploads.settings import UploadSettings
from fhir_server.workflow.numbers import SHORT_STRING, Numbering, NumberKind
from fhir_server.workflow.settings import OrderSettings
from fhir_server.worklist.settings import WorklistSettings, read_stations

if TYPE_CHECKING:
    from fastapi import APIRouter

    from fhir_server.dicom.archives import Archives
    from fhir_server.dicom.service import ArchiveService


def images(of_tenants: TenantSettings, engine: Engine, listener: Listener) -> "Archives | None":
    """The bridges to the image archives, if the settings name any."""
    tenants = [
        tenant
        for tenant in sorted({DEFAULT_TENANT} | of_tenants.named)
        if of_tenants.of(tenant).orthanc_url is not None
    ]
    if not tenants:
        return None
    # Not imported by processes that do without.
    from fhir_server.dicom.archives import Archives

    return Archives(
        {tenant: _archive(tenant, of_tenants.of(tenant), engine, listener) for tenant in tenants}
    )


def _archive(
    tenant: str, settings: Settings, engine: Engine, listener: Listener
) -> "ArchiveService":
    from fhir_server.dicom.service import ArchiveService

    assert settings.orthanc_url is not None
    archive = ArchiveSettings(
        settings.orthanc_url,
        settings.orthanc_user,
        settings.orthanc_password.get_secret_value(),
        timeout=settings.orthanc_timeout,
    )
    root = local_base_url(settings).removesuffix(FHIR_PATH)
    bridge = BridgeSettings(
        secret=settings.orthanc_hint_secret.get_secret_value(),
        zone=ZoneInfo(settings.time_zone),
        poll=settings.orthanc_poll,
        reconcile=settings.orthanc_compare,
        accession_system=settings.accession_number_system,
        issuers=settings.systems_of_accessions,
        patient_systems=settings.systems_of_patient_ids,
        wado_url=root + ("" if tenant == DEFAULT_TENANT else f"/t/{tenant}") + DICOMWEB_PATH,
    )
    return ArchiveService(engine, listener, tenant, archive, bridge)


def doors(
    settings: Settings, of_tenants: TenantSettings, engine: Engine, images: "Archives", gate: Gate
) -> "list[APIRouter]":
    """Where images come in and go out beside FHIR."""
    from fhir_server.dicomweb.routes import DicomWeb, dicomweb_routes
    from fhir_server.http.doors import Doorway
    from fhir_server.uploads.routes import upload_routes
    from fhir_server.uploads.uploading import Uploads

    bounds = UploadSettings(
        settings.upload_file_bytes,
        settings.upload_files,
        settings.upload_bytes,
        settings.upload_dir,
    )
    uploads = {
        tenant: Uploads(engine, orthanc, bounds, of_tenants.of(tenant).accession_number_system)
        for tenant, orthanc in images.orthancs.items()
    }
    upload = Doorway("upload", gate, settings.base_url, FHIR_PATH)
    web = Doorway("dicomweb", gate, settings.base_url, FHIR_PATH)
    webs = {
        tenant: DicomWeb(engine, orthanc, uploads[tenant], web)
        for tenant, orthanc in images.orthancs.items()
    }
    return [upload_routes(uploads, upload), dicomweb_routes(webs, engine.audit, web)]


def order_settings(settings: Settings) -> OrderSettings:
    order = NumberKind(
        "order number",
        "order-number",
        "PLAC",
        settings.order_number_system,
        settings.order_number_prefix,
        settings.order_number_width,
    )
    accession = NumberKind(
        "accession number",
        "accession-number",
        "ACSN",
        settings.accession_number_system,
        settings.accession_number_prefix,
        settings.accession_number_width,
        SHORT_STRING,
    )
    zone = ZoneInfo(settings.number_time_zone or settings.time_zone)
    return OrderSettings(
        Numbering((order, accession), zone),
        verify=settings.verify_orders,
        involved=settings.require_involved_requester,
    )


def modalities(
    settings: Settings, of_tenants: TenantSettings, engine: Engine, database_url: str
) -> list[Loop]:
    """What answers modalities, if the settings want it."""
    if settings.worklist_port is None and settings.worklist_export is None:
        return []
    # Not imported by processes that do without: it takes a moment and memory.
    from fhir_server.worklist.scp import WorklistServer

    found = WorklistSettings(
        settings.worklist_port or 0,
        settings.host,
        settings.worklist_title,
        read_stations(settings.worklist_stations or ""),
        {
            tenant: read_stations(of_tenants.of(tenant).worklist_stations or "")
            for tenant in of_tenants.named
        },
        engine.where.zone,
        settings.worklist_export,
    )
    return [WorklistServer(engine, found, database_url).run]


def messaging(
    settings: Settings, of_tenants: TenantSettings, engine: Engine, tenants: Tenants
) -> tuple[list[Loop], list[Health]]:
    """What receives and sends HL7 v2 messages, if the settings want it, and what it tells."""
    found = read_messaging(settings.mllp_config, settings.mllp_port, settings.mllp_host)
    loops: list[Loop] = [partial(watch_nothing, engine, tenants, found.tenants)]
    health: list[Health] = []
    if not found.tenants:
        return loops, health
    # Not imported by processes that do without: mapping takes a moment and memory.
    from fhir_server.messaging.service import Messaging
    from fhir_server.messaging.writing import shipped_writer

    for tenant in sorted(found.tenants):
        own = of_tenants.of(tenant)
        service = Messaging(
            engine,
            tenant,
            found.of(tenant),
            shipped_mapper(own.time_zone),
            writer=shipped_writer(folder("mappings")),
            keep_days=own.message_retention_days,
        )
        loops.append(service.run)
        health.append(service.health)
    return loops, health
