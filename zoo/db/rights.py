"""Which rights a PostgreSQL role lacks on a zoo, as the GRANT that gives them; and who gets rights on new tables.

The queries ask the server's catalogue, which every role may read.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from zoo.db.refusals import quoted

Rows = Callable[..., Sequence[Sequence[Any]]]
EVERY = ("SELECT", "INSERT", "UPDATE", "DELETE")
# What a writer needs on each table; a test holds that these are the tables of the newest schema.
TABLES: dict[str, tuple[str, ...]] = {
    "alembic_version": ("SELECT",), **dict.fromkeys(("zoo_lock", "identity"), ("SELECT", "UPDATE")),
    **dict.fromkeys(("recipes", "protocols", "removals"), ("SELECT", "INSERT")),
    **dict.fromkeys(
        ("checkpoints", "files", "parents", "trained_on", "tags", "counters", "aliases", "alias_history", "datasets",
         "runs", "scores", "searches", "splits", "pins"),
        EVERY,
    ),
}  # fmt: skip
FIRST = ("checkpoints", "files", "runs", "scores")  # since schema 0001, never made anew
MOST_NAMED = 4  # tables in one GRANT; more are "ALL TABLES"

FIND = """SELECT n.nspname, has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'),
      pg_table_is_visible(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'alembic_version' AND c.relkind IN ('r', 'p')
      AND EXISTS (SELECT 1 FROM pg_class z WHERE z.relnamespace = n.oid AND z.relname = 'zoo_lock')
    ORDER BY pg_table_is_visible(c.oid) DESC, n.nspname = 'public' DESC, n.nspname LIMIT 1"""
OF_TABLES = """SELECT c.relname, has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'),
      has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p')"""
OF_SEQUENCES = """SELECT s.relname, t.relname,
      has_sequence_privilege(s.oid, 'USAGE') OR has_sequence_privilege(s.oid, 'UPDATE')
    FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace
      JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass JOIN pg_class t ON t.oid = d.refobjid
    WHERE n.nspname = :schema AND s.relkind = 'S' AND d.deptype IN ('a', 'i')"""
# Whether the current role may do all that a writer does, in one round trip; `lacking` says what is missing.
_NEEDED = ", ".join(f"('{table}', '{right}')" for table, needed in TABLES.items() for right in needed)
_NAMES = ", ".join(f"'{table}'" for table in TABLES)
WRITABLE = f"""SELECT current_setting('transaction_read_only') = 'off'
    AND NOT EXISTS (SELECT 1 FROM (VALUES {_NEEDED}) AS needed(name, held)
      WHERE NOT coalesce(has_table_privilege(to_regclass(name)::oid, held), true))
    AND NOT EXISTS (SELECT 1 FROM pg_class s
      JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      JOIN pg_class t ON t.oid = d.refobjid
      WHERE t.relname IN ({_NAMES}) AND t.oid = to_regclass(t.relname::text)::oid AND CASE WHEN s.relkind = 'S'
        THEN NOT (has_sequence_privilege(s.oid, 'USAGE') OR has_sequence_privilege(s.oid, 'UPDATE')) ELSE false END)"""
OWNERS = """SELECT DISTINCT pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p')"""
GIVEN = """SELECT a.grantee, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END, c.relname,
      c.relkind, a.privilege_type
    FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
    WHERE c.relnamespace = CAST(:schema AS regnamespace) AND a.grantee <> c.relowner AND c.relkind IN ('r', 'p', 'S')"""


class ZooPlace(NamedTuple):
    """Where a database has a zoo: its PostgreSQL schema, and whether this role can read the version there."""

    schema: str
    usable: bool
    readable: bool


def find_zoo(rows: Rows) -> ZooPlace | None:
    """The zoo in a database, also where the role may not read it; None if there is none."""
    found = rows(FIND)
    if not found:
        return None
    schema, usable, selectable, visible = found[0]
    return ZooPlace(str(schema), bool(usable), bool(usable and selectable and visible))


def lacking(rows: Rows, write: bool) -> str:
    """The line that names the rights that the current role lacks to read or write the zoo; "" if it has all."""
    place = find_zoo(rows)
    if place is None:
        return ""
    role = str(rows("SELECT current_user")[0][0])
    held = {
        str(name): frozenset(right for right, has in zip(EVERY, given, strict=True) if has)
        for name, *given in rows(OF_TABLES, schema=place.schema)
    }
    found = rows(OF_SEQUENCES, schema=place.schema)
    sequences = {str(name): bool(has) for name, table, has in found if table in TABLES}
    grants = grants_for(role, place, held, sequences, write)
    if grants:
        verb = "write to" if write and place.readable else "read"
        return f'the role "{role}" may not {verb} this zoo; its owner can allow it: {"; ".join(grants)}'
    if place.usable and not place.readable:
        path = f"ALTER ROLE {quoted(role)} SET search_path = {quoted(place.schema)}"
        return f"the zoo is in the schema {place.schema}, where this role does not look; {path}"
    return ""


def grants_for(
    role: str, place: ZooPlace, held: dict[str, frozenset[str]], sequences: dict[str, bool], write: bool
) -> list[str]:
    """The GRANTs that a role needs to read or write a zoo, none if it has all rights.

    held       the rights on each table of the schema
    sequences  whether the role may take a number from each sequence

    >>> place = ZooPlace("public", True, True)
    >>> grants_for("ann", place, {"runs": frozenset({"SELECT"}), "zoo_lock": frozenset(EVERY)}, {}, write=True)
    ['GRANT INSERT, UPDATE, DELETE ON runs TO ann']
    """
    to, schema = f"TO {quoted(role)}", quoted(place.schema)
    grants = [] if place.usable else [f"GRANT USAGE ON SCHEMA {schema} {to}"]
    missing: dict[str, tuple[str, ...]] = {}
    for table, needed in TABLES.items():
        wanted = needed if write else ("SELECT",)
        absent = tuple(right for right in wanted if right not in held.get(table, wanted))
        if absent:
            missing[table] = absent
    if len(missing) > MOST_NAMED:
        every = [right for right in EVERY if any(right in absent for absent in missing.values())]
        grants.append(f"GRANT {', '.join(every)} ON ALL TABLES IN SCHEMA {schema} {to}")
    else:
        for absent in dict.fromkeys(missing.values()):
            tables = ", ".join(table for table, rights in missing.items() if rights == absent)
            grants.append(f"GRANT {', '.join(absent)} ON {tables} {to}")
    closed = [quoted(name) for name, usable in sequences.items() if write and not usable]
    if closed:
        which = f"SEQUENCE {', '.join(closed)}" if len(closed) <= MOST_NAMED else f"ALL SEQUENCES IN SCHEMA {schema}"
        grants.append(f"GRANT USAGE ON {which} {to}")
    return grants


def lacking_to_upgrade(rows: Rows) -> str:
    """The line that says why the current role may not create or change the zoo's tables; "" if it may."""
    role, schema = rows("SELECT current_user, current_schema()")[0]
    place = find_zoo(rows)
    if place is not None:
        owners = [str(owner) for owner, member in rows(OWNERS, schema=place.schema) if not member]
        if owners:
            owner = quoted(owners[0])
            return (
                f'the role "{role}" does not own the zoo\'s tables, {owners[0]} does; run phizoo models upgrade as '
                f"{owners[0]}, or: GRANT {owner} TO {quoted(role)}"
            )
        schema = place.schema
    name = str(schema or "public")
    may = [bool(has) for has in rows(
        "SELECT has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n "
        "WHERE n.nspname = :schema", schema=name,
    )[0]]  # fmt: skip
    absent = [right for right, has in zip(("USAGE", "CREATE"), may, strict=True) if not has]
    if absent:
        grant = f"GRANT {', '.join(absent)} ON SCHEMA {quoted(name)} TO {quoted(role)}"
        return f'the role "{role}" may not create tables here; the database\'s owner can allow it: {grant}'
    return ""


def owner_to_be(rows: Rows) -> str:
    """The role, quoted, that owns the zoo's tables and shall own new ones; "" if it is the current one, or several."""
    place = find_zoo(rows)
    owners = [str(owner) for owner, _ in rows(OWNERS, schema=place.schema)] if place else []
    return quoted(owners[0]) if len(owners) == 1 and owners[0] != rows("SELECT current_user")[0][0] else ""


def renewals(given: Sequence[Sequence[Any]], sequences: dict[str, str]) -> list[str]:
    """The GRANTs that give each role on the newer tables what it has on all of the first schema's.

    given      rows of GIVEN: (number, name, relation, kind, right)
    sequences  the table of each sequence
    """
    grants = []
    held: dict[str, set[tuple[str, str]]] = {}
    for _, name, relation, _, right in given:
        held.setdefault(str(name), set()).add((str(relation), str(right)))
    for name, own in sorted(held.items()):
        role = name if name == "PUBLIC" else quoted(name)
        common = [right for right in EVERY if all((table, right) in own for table in FIRST)]
        for table, needed in TABLES.items():
            new = [right for right in common if right in needed and (table, right) not in own]
            if new and table not in FIRST:
                grants.append(f"GRANT {', '.join(new)} ON {table} TO {role}")
        if "INSERT" in common:
            grants += [
                f"GRANT USAGE ON SEQUENCE {quoted(sequence)} TO {role}"
                for sequence, table in sequences.items()
                if table in TABLES and not own & {(sequence, "USAGE"), (sequence, "UPDATE")}
            ]
    return grants


def renew(rows: Rows, run: Callable[[str], Any]) -> list[str]:
    """Gives roles on newer tables and sequences the rights that they have on the older ones; the GRANTs made.

    run  runs one statement, as the owner of the tables
    """
    place = find_zoo(rows)
    if place is None or not all(member for _, member in rows(OWNERS, schema=place.schema)):
        return []
    sequences = {str(name): str(table) for name, table, _ in rows(OF_SEQUENCES, schema=place.schema)}
    grants = renewals(rows(GIVEN, schema=place.schema), sequences)
    for grant in grants:
        run(grant)
    return grants
