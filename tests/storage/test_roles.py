"""What the server may do in the database, whatever SQL it is made to send."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fhir_server.app import build
from fhir_server.settings import Settings
from fhir_server.storage import outgoing
from fhir_server.storage.migrate import migrate, migrate_all
from fhir_server.storage.pending import merge_pending
from fhir_server.storage.roles import LOGIN, own_login, role_name
from fhir_server.storage.store import PooledStore
from tests.conftest import FHIR_JSON, fresh_database

PATIENT = {"resourceType": "Patient", "id": "a", "name": [{"family": "Doe"}]}


@pytest.fixture
def hospital(postgres: str) -> Iterator[str]:
    """The superuser's URL of an empty database that the role `owner` owns; `worker` logs in."""
    with fresh_database(postgres, "roles_hospital") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for role in ("hospital_owner", "hospital_worker"):
                connection.execute(f"drop role if exists {role}")
            connection.execute("create role hospital_owner login createrole password 'o'")
            connection.execute("create role hospital_worker login password 'w'")
            connection.execute("alter database roles_hospital owner to hospital_owner")
        yield url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop schema if exists tenant_default, fhir_server cascade")
            connection.execute("drop owned by hospital_owner, hospital_worker cascade")
            tenant = role_name("roles_hospital", "default")
            connection.execute(f"drop role if exists {tenant}")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("drop role if exists hospital_owner, hospital_worker")


def as_owner(url: str) -> str:
    return make_conninfo(url, user="hospital_owner", password="o")


def as_worker(url: str) -> str:
    return make_conninfo(url, user="hospital_worker", password="w")


@asynccontextmanager
async def served(url: str) -> AsyncIterator[httpx.AsyncClient]:
    app = build(Settings(database_pool=4), url, ())
    async with (
        app.pages.router.lifespan_context(app.pages),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://test/fhir/", headers=FHIR_JSON, timeout=60,
        ) as client,
    ):  # fmt: skip
        yield client


async def works(url: str) -> None:
    """A server that logs in with a URL does all that it has to."""
    async with served(url) as client:
        assert (await client.put("Patient/a", json=PATIENT)).status_code in (200, 201)
        assert (await client.put("Patient/a", json=PATIENT | {"active": True})).status_code == 200
        # What a former release stored is read again first.
        end = time.monotonic() + 60
        while (answer := await client.get("Patient?name=doe")).status_code == 503:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        assert answer.json()["total"] == 1
        assert (await client.get("Patient/a/_history")).json()["total"] == 2
        assert (await client.delete("Patient/a")).status_code in (200, 204)
    store = PooledStore(url, size=2)
    await store.open()
    try:
        async with store.server() as connection:
            assert await merge_pending(connection, "default") >= 0
            for types in ({"Patient"}, {"Patient", "Task"}, ()):
                await outgoing.watch(connection, "default", types)
    finally:
        await store.close()


async def test_who_owns_nothing_can_serve_and_change_nothing_else(hospital: str) -> None:
    _, weaknesses = migrate_all(as_owner(hospital), as_worker(hospital))
    assert weaknesses == []
    await works(as_worker(hospital))
    tenant = role_name("roles_hospital", "default")
    with psycopg.connect(as_worker(hospital), autocommit=True) as connection:
        for role in ("none", tenant):
            connection.execute(f"set role {role}")
            for table in ("audit_event", "audit_checkpoint"):
                for statement in (
                    f"update tenant_default.{table} set seq = 1",
                    f"delete from tenant_default.{table}",
                    f"truncate tenant_default.{table}",
                    f"alter table tenant_default.{table} disable trigger all",
                    f"drop table tenant_default.{table}",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(statement)
        connection.execute("set role none")
        for statement in (
            "select * from tenant_default.resource",
            "set role hospital_owner",
            "update fhir_server.tenant set role = 'hospital_owner'",
            "create schema mine",
            "select fhir_server.watch_changes('default', 'x', array['a'') then 1; --'])",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)


async def test_an_owner_that_serves_itself_is_told_what_is_not_protected(hospital: str) -> None:
    url = as_owner(hospital)
    _, weaknesses = migrate_all(url)
    assert len(weaknesses) == 1
    assert "hospital_owner owns the tables" in weaknesses[0]
    assert "migration_database_url" in weaknesses[0]
    await works(url)
    # Even so its connections have no more than a tenant's rights, unless they ask for them.
    store = PooledStore(url, size=2)
    await store.open()
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with store.connection("default") as connection:
                await connection.execute("delete from tenant_default.audit_event")
    finally:
        await store.close()


async def test_an_owner_that_may_not_make_roles_is_told_too(hospital: str) -> None:
    with psycopg.connect(hospital, autocommit=True) as connection:
        connection.execute("alter role hospital_owner nocreaterole")
    _, weaknesses = migrate_all(as_owner(hospital), as_worker(hospital))
    assert len(weaknesses) == 1
    assert "CREATEROLE" in weaknesses[0]
    await works(as_worker(hospital))
    with (
        psycopg.connect(as_worker(hospital), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("delete from tenant_default.audit_event")
    # What becomes possible later is made good then.
    with psycopg.connect(hospital, autocommit=True) as connection:
        connection.execute("alter role hospital_owner createrole")
    assert migrate_all(as_owner(hospital), as_worker(hospital))[1] == []


async def test_data_of_the_former_release_is_served_to_who_owns_nothing(postgres: str) -> None:
    with fresh_database(postgres, "roles_former") as url:
        migrate(url, to="0006")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("drop schema fhir_server cascade")
            connection.execute(
                "insert into tenant_default.resource (rid, type, id, version, last_updated, "
                "method, reference_key, keys, targets, content) values "
                "(nextval('tenant_default.row_id'), 'Patient', 'former', 1, '2026-01-02', "
                "'PUT', 7, '{1}', '{}', "
                '\'{"resourceType": "Patient", "id": "former"}\')'
            )
        login = own_login(url)
        assert conninfo_to_dict(login)["user"] == LOGIN
        assert migrate_all(url, login)[1] == []
        async with served(login) as client:
            answer = await client.get("Patient/former")
            assert (answer.status_code, answer.json()["id"]) == (200, "former")
        await works(login)


async def test_a_login_that_is_not_there_is_made_with_its_password(hospital: str) -> None:
    login = make_conninfo(hospital, user="hospital_new", password="it's new")
    try:
        assert migrate_all(as_owner(hospital), login)[1] == []
        async with served(login) as client:
            assert (await client.put("Patient/a", json=PATIENT)).status_code == 201
    finally:
        with psycopg.connect(hospital, autocommit=True) as connection:
            connection.execute("drop owned by hospital_new cascade")
            connection.execute("drop role hospital_new")


# What SQL can be made to do that is no business of a server's.
ESCAPES = (
    "set role postgres",
    "set session authorization postgres",
    "alter role fhir_server superuser",
    "alter role fhir_server createrole",
    "alter role postgres password 'x'",
    "grant pg_read_all_data to fhir_server",
    "create role other login superuser",
    "copy (select 1) to program 'id'",
    "copy tenant_default.counter from program 'id'",
    "copy tenant_default.counter from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/passwd')",
    "select * from pg_authid",
    "create extension dblink",
    "create extension postgres_fdw",
    "create function f() returns int language c as 'x', 'y'",
    "alter system set fsync = off",
    "select pg_reload_conf()",
    "create table public.mine (x int)",
    "create temp table mine (x int)",
    "create database mine",
    "load '/tmp/x.so'",
    "set session_preload_libraries = 'x'",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
)


def test_the_login_of_an_own_postgresql_cannot_become_more(postgres: str) -> None:
    with fresh_database(postgres, "roles_own") as url:
        login = own_login(url)
        migrate_all(url, login)
        tenant = role_name("roles_own", "default")
        with (
            psycopg.connect(url, autocommit=True),
            psycopg.connect(login, autocommit=True) as connection,
        ):
            for role in ("none", tenant):
                connection.execute(f"set role {role}")
                for statement in ESCAPES:
                    with pytest.raises(psycopg.Error):
                        connection.execute(statement)


def test_nobody_comes_in_without_a_password(postgres: str) -> None:
    with fresh_database(postgres, "roles_password") as url:
        login = own_login(url)
        for user, password in (
            ("postgres", ""), ("postgres", "postgres"), (LOGIN, ""), (LOGIN, "x"), ("root", ""),
        ):  # fmt: skip
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(make_conninfo(url, user=user, password=password))
        # Each start gives the login another one.
        own_login(url)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(login)
