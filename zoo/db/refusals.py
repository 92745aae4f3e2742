"""What a PostgreSQL server's refusal means and what to do: one line each. Pure text, no connection."""

import re

# sign in the server's words (of a connection that failed) -> the fault and its remedy; {groups} of the sign
CONNECTIONS: tuple[tuple[str, str], ...] = (
    (r'password authentication failed for user "(?P<role>[^"]*)"',
     'the password of the role "{role}" is wrong or has expired (the server says the same of both); its owner can '
     "set another: ALTER ROLE {quoted} PASSWORD '…' VALID UNTIL 'infinity'"),
    (r"no password supplied",
     "the server asks for a password; write it into ~/.pgpass, or set PGPASSWORD"),
    (r'pg_hba\.conf rejects connection for host "(?P<host>[^"]*)", user "(?P<role>[^"]*)", '
     r'database "(?P<database>[^"]*)"',
     'the server\'s pg_hba.conf rejects the role "{role}" from {host}; its administrator can allow it: {rule}'),
    (r'no pg_hba\.conf entry for host "(?P<host>[^"]*)", user "(?P<role>[^"]*)", database "(?P<database>[^"]*)"'
     r"(?P<plain>, no encryption)?",
     'the server\'s pg_hba.conf has no entry for the role "{role}" from {host}; its administrator can add one: {rule}'),
    (r'permission denied for database "?(?P<database>[^"\n]*)"?',
     "the role in PHIZOO_DB may not connect; its owner can allow it: GRANT CONNECT ON DATABASE {database} TO {user}"),
    (r'database "(?P<database>[^"]*)" does not exist',
     'the server has no database "{database}"; correct PHIZOO_DB, or create it there: '
     "CREATE DATABASE {quoted_database}"),
    (r'role "(?P<role>[^"]*)" does not exist',
     'the server has no role "{role}"; correct PHIZOO_DB, or create it there: CREATE ROLE {quoted} LOGIN'),
    (r'role "(?P<role>[^"]*)" is not permitted to log in',
     'the role "{role}" may not log in; its administrator can allow it: ALTER ROLE {quoted} LOGIN'),
    (r"too many (?:clients|connections)|remaining connection slots",
     "all of the server's connections are in use; wait a minute, then run the same command again"),
    (r"the database system is (?P<state>starting up|shutting down|in recovery mode)",
     "the server is {state}; wait a minute, then run the same command again"),
)  # fmt: skip
NOT_WHOLE = "it is not a whole zoo; restore it from a backup, or set PHIZOO_DB to another database"
QUERIES = {  # SQLSTATE -> remedy
    "25P03": "this command stood still inside a write, so the server ended it; nothing of that write was kept: "
             "run the same command again",
    "25006": "it is read-only (a standby, or default_transaction_read_only is on); set PHIZOO_DB to the server that "
             "accepts writes",
    "57014": "a statement took longer than allowed; run the same command again when the server has less to do",
    "57P01": "the server ended this connection; nothing of that write was kept: run the same command again",
    "53100": "the server's disk is full; free some space there, then run the same command again",
    "53300": "all of the server's connections are in use; wait a minute, then run the same command again",
    "22003": "a number is beyond 64 bits; take a smaller one",
    "40001": "another command wrote at the same time; run the same command again",
    "40P01": "another command wrote at the same time; run the same command again",
    "3F000": NOT_WHOLE, "42P01": NOT_WHOLE, "42703": NOT_WHOLE, "42883": NOT_WHOLE,
}  # fmt: skip
SIMPLE = re.compile(r"[a-z_][a-z0-9_]*")


def quoted(name: str) -> str:
    """A name as SQL writes it: in quotes unless it is plain.

    >>> quoted("ann"), quoted('Ann "A"')
    ('ann', '"Ann ""A""\"')
    """
    return name if SIMPLE.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def connection_refusal(reason: str, user: str = "the role") -> str:
    """The line for a connection that failed.

    reason  the driver's words, without secrets; several lines where it tried several addresses
    user    the role of the address
    """
    for sign, remedy in CONNECTIONS:
        if match := re.search(sign, reason):
            words = {name: text or "" for name, text in match.groupdict().items()}
            words |= {"quoted": quoted(words.get("role", "")), "quoted_database": quoted(words.get("database", ""))}
            words["rule"] = _rule(words) if "host" in words else ""
            line = remedy.format(**words, user=quoted(user))
            unencrypted = " (or it asks for encryption: add ?sslmode=require)" if words.get("plain") else ""
            return f"{line}{unencrypted}."
    first = " ".join(reason.split())[:300]
    return f"cannot be reached ({first}); check PHIZOO_DB."


def _rule(words: dict[str, str]) -> str:
    """The line of pg_hba.conf that lets a role in.

    >>> _rule({"host": "::1", "role": "ann", "database": "zoo"})
    'host zoo ann ::1/128 scram-sha-256'
    """
    host, who = words["host"], f"{quoted(words['database'])} {quoted(words['role'])}"
    if host == "[local]":
        return f"local {who} scram-sha-256"
    return f"host {who} {host}/{128 if ':' in host else 32} scram-sha-256"


def query_refusal(state: str, text: str) -> str:
    """The line for a statement that failed; "" where the fault is not one that a user can fix.

    >>> query_refusal("22003", "integer out of range")
    'a number is beyond 64 bits; take a smaller one (integer out of range).'
    """
    return f"{QUERIES[state]} ({text})." if state in QUERIES else ""
