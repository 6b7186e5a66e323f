create table notes (
  id bigint generated always as identity primary key,
  text text not null,
  written_at timestamptz not null default now()
);

insert into notes (text) values ('written by the first migration');
