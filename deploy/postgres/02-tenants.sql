-- One table whose rows belong to tenants, and the functions its policies read.
-- May be run again.
--
-- PostgREST, and whatever verifies tokens as it does, sets two things for the time
-- of one transaction: the role, and `request.jwt.claims`, the verified claims as
-- JSON. Policies read nothing else: headers and parameters are the caller's words.

create schema if not exists auth;
grant usage on schema auth to authenticated, anon, app_owner;

-- Without a token the setting is null, and after a transaction that had one it is
-- empty: both are no claims at all.
create or replace function auth.claims() returns jsonb
  language sql stable parallel safe
  return coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}');

-- The one tenant that the token speaks for; null when it speaks for none, and
-- `tenant_id = null` is never true.
create or replace function auth.tenant_id() returns text
  language sql stable parallel safe
  return auth.claims() ->> 'tenant_id';

-- What the person may do in that tenant.
create or replace function auth.tenant_role() returns text
  language sql stable parallel safe
  return auth.claims() ->> 'tenant_role';

-- Who the person is.
create or replace function auth.user_id() returns text
  language sql stable parallel safe
  return auth.claims() ->> 'sub';

-- Whether the person has one of the roles in the tenant; false without a tenant.
create or replace function auth.has_tenant_role(variadic roles text[]) returns boolean
  language sql stable parallel safe
  return auth.tenant_id() is not null and coalesce(auth.tenant_role() = any (roles), false);

create table if not exists public.notes (
  id         bigint generated always as identity primary key,
  tenant_id  text not null default auth.tenant_id(),
  author     text not null default auth.user_id(),
  body       text not null check (length(body) between 1 and 2000),
  created_at timestamptz not null default now()
);
create index if not exists notes_tenant_id on public.notes (tenant_id, id);

-- ENABLE holds for everyone but the owner, FORCE for the owner too.
alter table public.notes owner to app_owner;
alter table public.notes enable row level security;
alter table public.notes force row level security;

-- Columns that the database fills in are not in the grant: nobody writes for
-- another author, and no row moves to another tenant.
revoke all on public.notes from public, anon, authenticated;
grant select, delete on public.notes to authenticated;
grant insert (tenant_id, body), update (body) on public.notes to authenticated;

-- `(select f())` is asked once a query, `f()` once a row.

-- Without a policy that lets in, row-level security lets nobody in: there is none
-- for `anon`, and none that is true without a tenant.
drop policy if exists notes_of_the_tenant on public.notes;
create policy notes_of_the_tenant on public.notes
  for select to authenticated
  using (tenant_id = (select auth.tenant_id()));

drop policy if exists members_write on public.notes;
create policy members_write on public.notes
  for insert to authenticated
  with check (
    tenant_id = (select auth.tenant_id())
    and (select auth.has_tenant_role('owner', 'admin', 'member'))
  );

drop policy if exists authors_and_admins_correct on public.notes;
create policy authors_and_admins_correct on public.notes
  for update to authenticated
  using (
    tenant_id = (select auth.tenant_id())
    and (
      author = (select auth.user_id())
      or (select auth.has_tenant_role('owner', 'admin'))
    )
  )
  with check (tenant_id = (select auth.tenant_id()));

drop policy if exists admins_remove on public.notes;
create policy admins_remove on public.notes
  for delete to authenticated
  using (
    tenant_id = (select auth.tenant_id())
    and (select auth.has_tenant_role('owner', 'admin'))
  );

-- Narrows whatever policy someone adds later: policies that permit are joined with
-- OR, and one that restricts is joined with AND.
drop policy if exists one_tenant_only on public.notes;
create policy one_tenant_only on public.notes
  as restrictive for all to public
  using (tenant_id = (select auth.tenant_id()))
  with check (tenant_id = (select auth.tenant_id()));
