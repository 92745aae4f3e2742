"""`phizoo models`, the commands that change the zoo: alias, edit, rename, remove, gc, upgrade."""

from typing import TYPE_CHECKING

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.models_transfer import renew_scores
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import bytes_text, emit_json
from zoo.errors import ZooError
from zoo.visible import plain

if TYPE_CHECKING:
    from zoo.db.gc import Garbage

SHOWN = 5  # files that gc lists


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("alias", required=False)
@click.option("--expect", type=int, default=None, metavar="VERSION", help="Move it only from this version (0: none).")
@click.option("--remove", "removing", is_flag=True, help="Remove the alias.")
@click.option("--history", is_flag=True, help="Print every move of the name's aliases.")
@AS_JSON
def alias(checkpoint: str, alias: str | None, expect: int | None, removing: bool, history: bool, as_json: bool) -> None:
    """Point name@alias at a version.

    \b
    Example:  phizoo models alias phi-1-mini:3 best
              phizoo models alias phi-1-mini:4 best --expect 3
              phizoo models alias phi-1-mini --history
    """
    if history:
        _echo_history(checkpoint, as_json)
        return
    if alias is None:
        raise ZooError(f"no alias given. Example: phizoo models alias {checkpoint} best")
    with open_registry() as registry:
        if removing:
            registry.unalias(checkpoint, alias)
            click.echo(f"removed {checkpoint}@{alias}")
            return
        target = registry.get(checkpoint)
        registry.alias(target.name, alias, target.version, expect)
    click.echo(f"{target.name}@{alias} -> {target.label}")


def _echo_history(checkpoint: str, as_json: bool) -> None:
    with open_registry(readonly=True) as registry:
        moves = registry.alias_history(registry.get(checkpoint).name)
    if as_json:
        emit_json([move._asdict() | {"author": move.author.fields()} for move in moves])
        return
    for move in moves:
        when, by = move.moved[:19] or "before 0002", move.author.text()
        click.echo(f"{when:19}  @{move.alias}  {move.previous or '-'} -> {move.version or '-'}  by {by}")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--tag", "added", multiple=True, metavar="WORD", help="Add this tag; may be given several times.")
@click.option("--untag", "removed", multiple=True, metavar="WORD", help="Remove this tag; may be given several times.")
@click.option("--note", metavar="TEXT", help="Replace the note; an empty text removes it.")
def edit(checkpoint: str, added: tuple[str, ...], removed: tuple[str, ...], note: str | None) -> None:
    """Change a checkpoint's tags and note.

    \b
    Example:  phizoo models edit phi-1-mini:3 --tag keep --tag ablation
              phizoo models edit phi-1-mini:3 --untag keep --note "loss spike at step 4000, see the run's log"
    """
    if not added and not removed and note is None:
        raise ZooError(f"nothing to change. Example: phizoo models edit {checkpoint} --tag keep --note TEXT")
    with open_registry() as registry:
        if added or removed:
            record = registry.tag(checkpoint, added, removed)
            click.echo(f"{record.label}: {', '.join(record.tags) or 'no tags'}")
        if note is not None:
            record = registry.note(checkpoint, note)
            click.echo(f"{record.label}: {record.notes or 'no note'}")


@click.command()
@click.argument("old", shell_complete=A_CHECKPOINT)
@click.argument("new")
def rename(old: str, new: str) -> None:
    """Give all versions of a name another name.

    Digests stay, and with them scores and lineage.

    \b
    Example:  phizoo models rename my-phi phi-1-small-mini
    """
    with open_registry() as registry:
        registry.rename(old, new)
    click.echo(f"{old} -> {new}")


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.option("--with-scores", is_flag=True, help="Delete its scores too.")
def remove(checkpoint: str, with_scores: bool) -> None:
    """Remove one version from the zoo.

    Refused while an alias points at it, a checkpoint was made from it, or it has scores. The next gc
    frees its bytes; its version number is never used again.

    \b
    Example:  phizoo models remove phi-1-mini:2
    """
    with open_registry() as registry:
        removed = registry.remove(checkpoint, with_scores)
    click.echo(f"removed {removed.label}. To free its bytes: phizoo models gc")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only list what would be freed.")
@click.option("--yes", is_flag=True, help="Free them even if they are more than half of the store.")
@click.option("--grace", type=click.FloatRange(0), default=24.0, show_default=True, metavar="HOURS",
              help="Keep what was written later than this many hours ago.")  # fmt: skip
@AS_JSON
def gc(dry_run: bool, yes: bool, grace: float, as_json: bool) -> None:
    """Free the bytes that nothing refers to.

    Lists them first. Safe while other commands run: files in use, being added, or younger than the grace time stay,
    and so do those that were pushed to the store's address. More than half of a store is freed only with --yes.

    \b
    Example:  phizoo models gc --dry-run
    """
    found: list[Garbage] = []

    def tell(garbage: "Garbage") -> None:
        found.append(garbage)
        if not as_json:
            _echo_garbage(garbage, grace)

    with open_registry() as registry:
        freed = registry.gc(dry_run, **({"most": 1.0} if yes else {}), grace=grace * 3600, tell=tell)
    if as_json:
        files = [
            {"sha256": one.sha256, "bytes": one.bytes, "hours": round((found[0].clock - one.modified) / 3600, 2)}
            for one in found[0].objects
        ]
        emit_json(freed._asdict() | {"young": found[0].young, "files": files})
        return
    files_text = f"{freed.objects} file{'s' * (freed.objects != 1)}"
    uploads = f" and {bytes_text(freed.upload_bytes)} in unfinished uploads" if freed.uploads else ""
    click.echo(f"{'would free' if dry_run else 'freed'} {bytes_text(freed.bytes)} in {files_text}{uploads}")


def _echo_garbage(garbage: "Garbage", grace: float) -> None:
    """The files that gc found, the largest first, and what it keeps because it is young."""

    def age(modified: float) -> str:
        hours = (garbage.clock - modified) / 3600
        return f"{hours / 24:.0f} days old" if hours >= 48 else f"{hours:.1f} hours old"

    count = len(garbage.objects)
    if count:
        click.echo(
            f"{count} of {garbage.stored} files belong to nothing, "
            f"{bytes_text(garbage.bytes)} of {bytes_text(garbage.stored_bytes)}:"
        )
    for one in sorted(garbage.objects, key=lambda one: -one.bytes)[:SHOWN]:
        click.echo(f"  {one.sha256[:16]}  {bytes_text(one.bytes):>9}  {age(one.modified)}")
    if count > SHOWN:
        click.echo(f"  and {count - SHOWN} more; all of them: phizoo models gc --dry-run --json")
    for leftover in garbage.leftovers[:SHOWN]:
        name = plain(leftover.name.rpartition("/")[2])[:16]
        click.echo(
            f"  {name}  {bytes_text(leftover.bytes):>9}  {age(leftover.modified)}, an upload that was not completed"
        )
    if garbage.young:
        click.echo(f"{garbage.young} more belong to nothing and stay: they are younger than {grace:g} hours (--grace)")


@click.command()
def upgrade() -> None:
    """Bring the zoo's database to this version's schema.

    In PostgreSQL this command alone does it, as the owner of the tables, and it makes a new zoo there; roles that may
    read or write the older tables get the same rights on the new ones. In SQLite any command that writes does it too.
    The upgrade is one transaction. Scores that an older version derived from several runs, or with an older interval,
    are then brought up to date: `phizoo eval runs --renew`.

    \b
    Example:  phizoo models upgrade
    """
    from zoo import settings
    from zoo.db.open import SCHEMA, upgrade_database

    settings.check_pair()
    grants = upgrade_database(settings.database_url())
    with open_registry() as registry:
        scored = bool(registry.database.rows("SELECT 1 FROM scores LIMIT 1"))
    click.echo(f"the schema is {SCHEMA}, the newest")
    for grant in grants:
        click.echo(f"renewed: {grant}")
    if scored:
        renew_scores()


@click.command()
@click.option("--yes", is_flag=True, help="Do it: whichever database owned the store is refused from then on.")
@AS_JSON
def adopt(yes: bool, as_json: bool) -> None:
    """Make this database the owner of this store.

    A store belongs to one database, and every command refuses another. Needed after a backup was restored, a database
    was moved to another server, or a store to another address. Without --yes it only says who they are and how they
    fit.

    \b
    Example:  phizoo models adopt
              phizoo models adopt --yes
    """
    from zoo.ownership import report

    with open_registry() as registry:
        pair = report(registry.database, registry.unchecked_store, adopting=yes)
    if as_json:
        emit_json(pair._asdict() | {"fit": pair.fit._asdict()})
    else:
        click.echo(f"database  {pair.database}\nstore     {pair.store}")
        click.echo(f"owner     {plain(pair.owner) or 'none'}")
        click.echo(f"fit       {pair.fit}")
    if pair.fault:
        raise ZooError(f"{pair.fault}; nothing was changed. If this database shall own it: phizoo models adopt --yes")
    if not as_json:
        click.echo("they belong together" + (", from now on" if yes else ""))


# Former commands, which `phizoo models --help` no longer shows: now options of `edit`.


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("tags", nargs=-1, required=True)
@click.option("--remove", "removing", is_flag=True)
@click.pass_context
def tag(context: click.Context, checkpoint: str, tags: tuple[str, ...], removing: bool) -> None:
    """Add or remove tags."""
    context.invoke(edit, checkpoint=checkpoint, added=() if removing else tags, removed=tags if removing else ())


@click.command()
@click.argument("checkpoint", shell_complete=A_CHECKPOINT)
@click.argument("text")
@click.pass_context
def note(context: click.Context, checkpoint: str, text: str) -> None:
    """Replace a checkpoint's note."""
    context.invoke(edit, checkpoint=checkpoint, added=(), removed=(), note=text)
