"""One file for each name of an exchange: the zoos that push it, and where its aliases point, moved as a whole.

    names/<name>.json                  of a name without an owner
    owners/<owner>/names/<name>.json   of owner/name

A name belongs to the zoo that pushed it first. Another zoo may go on with it if it has a version in common (it pulled
it), and contradicts none; otherwise it pushes as owner/name. An alias is where its latest move put it: within one zoo
by the order of the moves in its database, whatever the clocks of its machines say; between zoos by time.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from zoo.db import identity
from zoo.db.database import Database
from zoo.errors import ZooError
from zoo.exchange.small_files import SmallFiles
from zoo.records import NAME, validate_name
from zoo.visible import plain

OWNED = re.compile(rf"owners/({NAME.pattern})/(.*)")


class AliasPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alias points. version: 0 if it was removed; order: of the move in its zoo's database."""

    version: int
    digest: str
    moved: str
    zoo: str
    order: int


class NameFile(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one name. zoos: the id of each zoo that pushes it, and its address; aliases: by alias."""

    zoos: dict[str, str] = {}
    aliases: dict[str, AliasPlace] = {}


class Sender(NamedTuple):
    """A zoo that pushes a name: its id and address, its versions of the name with their digests, its aliases."""

    zoo: str
    address: str
    versions: Mapping[int, str]
    aliases: Mapping[str, AliasPlace]


def split_owner(spec: str) -> tuple[str, str]:
    """The owner of a spec, "" without one, and the rest.

    >>> split_owner("lab/phi@best"), split_owner("phi:1")
    (('lab', 'phi@best'), ('', 'phi:1'))
    """
    owner, slash, rest = spec.rpartition("/")
    if slash:
        validate_name(owner)
    return owner, rest


def folder_of(owner: str) -> str:
    """The folder of an owner's entries and names, "" or one that ends in a slash."""
    return f"owners/{owner}/" if owner else ""


def name_path(owner: str, name: str) -> str:
    """The path of a name's file."""
    return f"{folder_of(owner)}names/{name}.json"


def make_sender(database: Database, address: str, name: str) -> Sender:
    """What a zoo says of one of its names."""
    zoo = identity.read(database).id
    rows = database.rows("SELECT version, digest FROM checkpoints WHERE name = :name", name=name)
    versions = {int(version): str(digest) for version, digest in rows}
    moves = database.rows(
        "SELECT alias, version, moved, id FROM alias_history WHERE name = :name ORDER BY id", name=name
    )
    aliases = {
        str(alias): AliasPlace(version=version, digest=versions.get(version, ""), moved=moved, zoo=zoo, order=order)
        for alias, version, moved, order in moves  # the last move of each stays
    }
    return Sender(zoo, address, versions, aliases)


def decode(text: bytes | None, path: str) -> NameFile:
    """The state that a file holds; of an absent file the empty one."""
    if text is None:
        return NameFile()
    try:
        return msgspec.json.decode(text, type=NameFile)
    except msgspec.MsgspecError as error:
        raise ZooError(f"{path}: cannot be read as the state of a name ({plain(str(error))[:80]}).") from error


def claim(files: SmallFiles, owner: str, name: str, sender: Sender, there: Mapping[int, set[str]]) -> None:
    """Enters a zoo among those that push a name.

    there   the digests that the exchange has of each version
    Raises  ZooError if the name is another zoo's: nothing is written then
    """
    path = name_path(owner, name)

    def edit(text: bytes | None) -> bytes:
        state = decode(text, path)
        contradicted = [v for v, digests in there.items() if v in sender.versions and {sender.versions[v]} != digests]
        common = [v for v, digests in there.items() if {sender.versions.get(v)} == digests]
        is_foreign = there and sender.zoo not in state.zoos and not common
        is_foreign = is_foreign or (not there and bool(state.zoos) and sender.zoo not in state.zoos)
        if contradicted or is_foreign:
            other = next((plain(address) for zoo, address in state.zoos.items() if zoo != sender.zoo), "")
            raise ZooError(
                f"{files.url}: {name}{f':{contradicted[0]}' if contradicted else ''} there is another zoo's"
                f"{f' ({other})' if other else ''}, not the one of this zoo; push yours with an owner before it: "
                f"phizoo models push OWNER/{name} {files.url}"
            )
        return encode(NameFile(zoos=state.zoos | {sender.zoo: sender.address}, aliases=state.aliases))

    files.change(path, edit)


def move_aliases(files: SmallFiles, owner: str, name: str, sender: Sender) -> None:
    """Moves the aliases of a name to where its sender has them, unless they were moved later elsewhere."""
    path = name_path(owner, name)

    def edit(text: bytes | None) -> bytes:
        state = decode(text, path)
        aliases = dict(state.aliases)
        for alias, place in sender.aliases.items():
            if alias not in aliases or _is_later(place, aliases[alias]):
                aliases[alias] = place
        return encode(NameFile(zoos=state.zoos, aliases=aliases))

    files.change(path, edit)


def _is_later(place: AliasPlace, other: AliasPlace) -> bool:
    if place.zoo == other.zoo:
        return place.order > other.order
    return place.moved > other.moved


def forget(files: SmallFiles, owner: str, name: str, version: int, digest: str, is_last: bool) -> None:
    """Drops the aliases that point at a checkpoint, and with its last one the claims of a name."""
    path = name_path(owner, name)

    def edit(text: bytes | None) -> bytes:
        state = decode(text, path)
        kept = {a: p for a, p in state.aliases.items() if (p.version, p.digest) != (version, digest)}
        return encode(NameFile() if is_last else NameFile(zoos=state.zoos, aliases=kept))

    files.change(path, edit)


def encode(state: NameFile) -> bytes:
    """The bytes of a state, equal for equal states."""
    return msgspec.json.format(msgspec.json.encode(state, order="deterministic"), indent=1)
