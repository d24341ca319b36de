-- Who may connect, and as whom a request runs. May be run again.
--
--   authenticator   what the API connects as; may do nothing but become one of these:
--   authenticated   a request whose token the gateway signed
--   anon            a request without a token
--   app_owner       owns the tables; nobody logs in as it
--
-- A superuser, and a role with BYPASSRLS, sees every row whatever the policies say:
-- neither an API nor the owner of a table may be one.

do $$
declare
  name text;
begin
  foreach name in array array['authenticator', 'authenticated', 'anon', 'app_owner'] loop
    if not exists (select from pg_roles where rolname = name) then
      execute format('create role %I', name);
    end if;
  end loop;
end
$$;

alter role authenticator login noinherit nosuperuser nobypassrls nocreatedb nocreaterole;
alter role authenticated nologin nosuperuser nobypassrls nocreatedb nocreaterole;
alter role anon nologin nosuperuser nobypassrls nocreatedb nocreaterole;
alter role app_owner nologin nosuperuser nobypassrls nocreatedb nocreaterole;

-- The claim `role` of a token can only name one of these: SET ROLE refuses others.
grant authenticated, anon to authenticator;

-- What a request must never be able to do is to run for ever.
alter role authenticator set statement_timeout = '15s';
alter role authenticator set idle_in_transaction_session_timeout = '15s';

-- Nobody gets anything but by a grant.
revoke create on schema public from public;
grant usage on schema public to authenticated, anon;
