"""Settings of single tenants."""

from pathlib import Path

import pytest

from fhir_server.settings import Settings
from fhir_server.tenant_settings import TenantsError, TenantSettings


def settings(tmp_path: Path, text: str, **more: object) -> TenantSettings:
    path = tmp_path / "tenants.yaml"
    path.write_text(text)
    return TenantSettings(Settings.model_validate({"tenants_config": path} | more))


def test_what_a_tenant_does_not_say_is_as_for_the_whole_server(tmp_path: Path) -> None:
    text = "tenants: {north: {order_number_prefix: NORD, verify_orders: true}}"
    found = settings(tmp_path, text, page_size=7)
    assert found.named == {"north"}
    north, default, south = map(found.of, ("north", "default", "south"))
    assert (north.order_number_prefix, north.verify_orders, north.page_size) == ("NORD", True, 7)
    for each in (default, south):
        assert (each.order_number_prefix, each.verify_orders, each.page_size) == ("ORD", False, 7)


def test_what_is_one_machines_is_no_other_tenants(tmp_path: Path) -> None:
    more = {"orthanc_url": "http://images", "worklist_stations": "CT1"}
    found = settings(tmp_path, "tenants: {north: {verify_orders: true}}", **more)
    assert found.of("default").orthanc_url == "http://images"
    for tenant in ("north", "south"):
        assert (found.of(tenant).orthanc_url, found.of(tenant).worklist_stations) == (None, None)


def test_variables_do_not_give_a_tenant_what_is_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHIR_SERVER_ORTHANC_URL", "http://images")
    path = tmp_path / "tenants.yaml"
    path.write_text("tenants: {north: {verify_orders: true}}")
    found = TenantSettings(Settings(tenants_config=path))
    assert found.of("default").orthanc_url == "http://images"
    assert found.of("north").orthanc_url is None


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden\n")
    text = (
        f"tenants: {{north: {{orthanc_url: 'http://n', orthanc_password_file: {tmp_path}/secret}}}}"
    )
    north = settings(tmp_path, text).of("north")
    assert north.orthanc_password.get_secret_value() == "hidden"
    assert "hidden" not in repr(north)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tenants: [north]", "expected settings by the name"),
        ("north: {}", "expected `tenants`"),
        ("tenants: {North: {}}", "lower-case"),
        ("tenants: {north: {port: 1}}", "port: no setting that a tenant may have"),
        ("tenants: {north: {page_size: 1}}", "page_size"),
        ("tenants: {north: {order_number_prefix: toolong}}", "tenants.north: order_number_prefix"),
        ("tenants: {north: {time_zone: Mars/Olympus}}", "unknown time zone"),
        ("tenants: {north: {orthanc_password_file: /no/such}}", "orthanc_password_file"),
        ("tenants: {north: 3}", "expected settings"),
        ("tenants: {north: {", "tenants.yaml"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TenantsError, match=told.replace("(", r"\(")) as caught:
        settings(tmp_path, text)
    assert "tenants.yaml" in str(caught.value)


def test_a_secret_in_a_file_with_a_mistake_is_not_told(tmp_path: Path) -> None:
    text = "tenants: {north: {orthanc_password: geheim, orthanc_timeout: -1}}"
    with pytest.raises(TenantsError) as caught:
        settings(tmp_path, text)
    assert "geheim" not in str(caught.value)
