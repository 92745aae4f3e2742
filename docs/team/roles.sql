-- The roles of a team's zoo: an owner, and two groups of which each person's role is a member.
-- psql --set password='…' --file roles.sql, as a role that may create roles and databases.
\set ON_ERROR_STOP on
CREATE ROLE zoo_owner LOGIN PASSWORD :'password';
CREATE ROLE zoo_reader NOLOGIN;
CREATE ROLE zoo_writer NOLOGIN IN ROLE zoo_reader;
GRANT zoo_owner TO CURRENT_USER; -- a managed server's administrator is no superuser
CREATE DATABASE zoo OWNER zoo_owner;
REVOKE ALL ON DATABASE zoo FROM PUBLIC;
GRANT CONNECT ON DATABASE zoo TO zoo_reader;
\connect zoo
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO zoo_owner;
GRANT USAGE ON SCHEMA public TO zoo_reader;
-- for the tables that zoo_owner will create, with `phizoo models upgrade`
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner IN SCHEMA public GRANT SELECT ON TABLES TO zoo_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner IN SCHEMA public GRANT INSERT, UPDATE, DELETE ON TABLES TO zoo_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner IN SCHEMA public GRANT USAGE ON SEQUENCES TO zoo_writer;
