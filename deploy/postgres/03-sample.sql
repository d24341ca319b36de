-- Something to look at: the notes of the two organizations of the sample app.
-- Leave this file out of a database of your own.
insert into public.notes (tenant_id, author, body)
select tenant_id, author, body
from (
  values
    (1, 't_acme', 'u_ada', 'The engine weaves algebraical patterns.'),
    (2, 't_acme', 'u_grace', 'Found a moth in relay 70.'),
    (3, 't_globex', 'u_grace', 'Globex sees this row, and Acme does not.')
) as sample (place, tenant_id, author, body)
where not exists (select from public.notes)
order by place;
