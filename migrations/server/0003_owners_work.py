"""What only the owner of the tables may do, as functions that the server may call."""

from alembic import op

revision = "0003"
down_revision = "0002"

# The names in them are qualified, since the search path is no place of the caller's choice.
_FIXED = "security definer set search_path = pg_catalog, pg_temp"

STATEMENTS = (
    # The schema of a tenant, so that no function takes another name for one.
    f"""
create function schema_of(of_tenant text) returns text language plpgsql stable {_FIXED} as $$
begin
    perform from fhir_server.tenant t where t.name = of_tenant;
    if not found then
        raise exception 'no such tenant' using errcode = 'invalid_parameter_value';
    end if;
    return 'tenant_' || of_tenant;
end
$$""",
    # What the search indexes keep aside is merged.
    f"""
create function merge_pending(of_tenant text) returns bigint language plpgsql {_FIXED} as $$
declare
    of_schema text := fhir_server.schema_of(of_tenant);
    pages bigint := 0;
    name text;
begin
    foreach name in array array['resource_keys', 'contained_keys'] loop
        pages := pages + gin_clean_pending_list(format('%I.%I', of_schema, name)::regclass);
    end loop;
    return pages;
end
$$""",
    # Every change of some types is noted in the outbox, by whatever way it is written: a trigger,
    # so that no way past it exists. There is none while no type is watched.
    f"""
create function watch_changes(of_tenant text, of_topic text, types text[]) returns void
language plpgsql {_FIXED} as $$
declare
    of_schema text := fhir_server.schema_of(of_tenant);
    resources regclass := format('%I.resource', of_schema)::regclass;
    wanted text;
    told text;
    standing text;
begin
    if exists (select from unnest(types) t where t !~ '^[A-Za-z]+$') then
        raise exception 'no such type' using errcode = 'invalid_parameter_value';
    end if;
    select coalesce(string_agg(quote_literal(t), ', ' order by t), '')
        into wanted from unnest(types) t;
    told := 'fhir-server: ' || wanted;
    perform pg_advisory_xact_lock(hashtextextended(of_schema || '|watch', 0));
    select obj_description(t.oid, 'pg_trigger') into standing
        from pg_trigger t where t.tgname = 'hl7v2_changed' and t.tgrelid = resources;
    if (not found and wanted = '') or (found and wanted <> '' and standing = told) then
        return;
    end if;
    execute format('drop trigger if exists hl7v2_changed on %s', resources);
    if wanted = '' then
        return;
    end if;
    execute format(
        'create or replace function %1$I.hl7v2_changed() returns trigger language plpgsql as %2$L',
        of_schema,
        format(
            'begin insert into %I.outbox (topic, type, id, version, recorded, origin) '
            'values (%L, new.type, new.id, new.version, new.last_updated, '
            'nullif(current_setting(''fhir_server.origin'', true), '''')); return null; end',
            of_schema, of_topic
        )
    );
    execute format(
        'create trigger hl7v2_changed after insert or update of version on %s '
        'for each row when (new.type in (%s)) execute function %I.hl7v2_changed()',
        resources, wanted, of_schema
    );
    execute format('comment on trigger hl7v2_changed on %s is %L', resources, told);
end
$$""",
    # What the processes look at all the time, of all tenants at once.
    f"""
create function pulse(at timestamptz)
returns table (tenant text, index_state text, settled boolean, due text[])
language plpgsql stable {_FIXED} as $$
declare
    of_tenant text;
    sealing text;
    ready boolean;
begin
    for of_tenant in select t.name from fhir_server.tenant t where t.state = 'ready' loop
        begin
            execute format(
                'select concat_ws(''/'', i.generation, i.format, i.target, p.open), '
                'i.format = i.target and p.open = 0, coalesce(j.due, ''{{}}'') '
                'from %1$I.index_state i, '
                '(select count(*) filter (where state <> ''ready'') as open '
                'from %1$I.search_parameter) p, '
                '(select array_agg(distinct kind) as due from %1$I.job '
                'where state in (''queued'', ''running'') and run_at <= $1 '
                'and (state = ''queued'' or claimed_until < $1)) j',
                'tenant_' || of_tenant
            ) into index_state, settled, due using at;
            if to_regclass(format('%I.seal_state', 'tenant_' || of_tenant)) is not null then
                execute format(
                    'select concat_ws(''/'', s.xmin, k.last, k.many), s.state = ''ready'' '
                    'from %1$I.seal_state s, (select max(xmin::text::bigint) as last, '
                    'count(*) as many from %1$I.data_key) k',
                    'tenant_' || of_tenant
                ) into sealing, ready;
                index_state := index_state || '/' || sealing;
                settled := settled and ready;
            end if;
            tenant := of_tenant;
            return next;
        exception when undefined_table or invalid_schema_name then
            -- It is being dropped.
            null;
        end;
    end loop;
end
$$""",
)


def upgrade() -> None:
    """Add the functions in the schema that the connection's search path names."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove them again."""
    for function in (
        "pulse(timestamptz)",
        "watch_changes(text, text, text[])",
        "merge_pending(text)",
        "schema_of(text)",
    ):
        op.execute(f"drop function {function}")
