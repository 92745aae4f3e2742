"""Which database owns which store: each knows the other, so a wrong pair is refused before a byte moves.

A store bears a mark, the file `zoo.json`: the id of its zoo and the place of that zoo's database. The database
records the place of its store. Only one of a pair that was copied matches, so a restored dump, a copied bucket or
a forgotten variable is told from the pair itself. `adopt` makes a database the owner of a store; the one that owned
it is refused from then on. An address that checkpoints are pushed to is marked too, so that it becomes no zoo's store.
"""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from zoo import settings
from zoo.address import shown
from zoo.db import identity
from zoo.db.database import Database, sqlite_file
from zoo.db.identity import Identity, Place, is_same
from zoo.errors import UnreachableError, ZooError
from zoo.records import File
from zoo.store.store import Store
from zoo.visible import plain

ADOPT = "phizoo models adopt"
PAIR = "set PHIZOO_DB and PHIZOO_STORE to the database and the store of one zoo"
Kind = Literal["store", "exchange"]
Action = Literal["keep", "record", "claim", "renew", "refuse"]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Whose store this is. A field of a later version is ignored.

    kind      store: of the zoo `zoo`; exchange: of nobody, checkpoints are pushed there
    database  the place of that zoo's database; address: for messages, without secrets
    """

    kind: Kind
    zoo: str = ""
    database: Place = ()
    address: str = ""
    since: str = ""


class Fit(NamedTuple):
    """How a store's objects fit a database: how many there are, how many of them it names, how many others it names.

    The shares are of bytes too, since zoos that have nothing in common share small files.
    """

    stored: int
    known: int
    missing: int
    stored_bytes: int = 0
    known_bytes: int = 0

    def is_good(self) -> bool:
        """Whether nearly all that the database names is there, and half of the store is that; or both are empty."""
        is_whole = self.missing * 10 <= self.known + self.missing
        return is_whole and self.known * 2 >= self.stored and self.known_bytes * 2 >= self.stored_bytes

    def __str__(self) -> str:
        return f"this zoo names {self.known:,} of its {self.stored:,} files, and {self.missing:,} that are not there"


class PairReport(NamedTuple):
    """A database, a store, the zoo that owns it, how they fit, and why they are refused ("" if they are not)."""

    database: str
    store: str
    owner: str
    fit: Fit
    fault: str


class PairJudgement(NamedTuple):
    """What to do about a pair, and why it is refused.

    keep    they belong together; record: so they do, the database was only not told yet
    claim   neither belongs to anything and they fit; renew: both are copies of one pair, a pair of their own
    """

    action: Action
    reason: str = ""


class OwnerPair(NamedTuple):
    """What a database and a store say about each other."""

    own: Identity
    database: Place
    mark: Mark | None
    store: Place


def read_mark(store: Store) -> Mark | None:
    """The mark of a store. Raises ZooError if there is one that cannot be read."""
    text = store.read_mark()
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Mark)
    except msgspec.MsgspecError as error:
        raise ZooError(
            f"{shown(store.url)}: its mark, zoo.json, cannot be read ({plain(str(error))[:80]}); restore that file, "
            f"or, if this database owns the store: {ADOPT}"
        ) from error


def judge(pair: OwnerPair) -> PairJudgement:
    """Whether a database and a store belong together. What is only asked of a claim is not asked here: the fit."""
    own, mark = pair.own, pair.mark
    is_recorded = bool(own.store)
    if mark is None:
        if is_recorded:
            return PairJudgement(
                "refuse", f"bears no mark, and this zoo's store is {plain(own.store)}; if this one replaces it: {ADOPT}"
            )
        return PairJudgement("claim")
    if mark.kind == "exchange":
        return PairJudgement(
            "refuse",
            "is a place that checkpoints are pushed to, no zoo's store; set PHIZOO_STORE to another folder, and fetch "
            "from this one: phizoo models pull NAME ADDRESS",
        )
    if mark.zoo != own.id:
        return PairJudgement(
            "refuse", f"belongs to another zoo ({plain(mark.address)}); {PAIR}. If that zoo is gone: {ADOPT}"
        )
    is_same_store = is_recorded and is_same(own.store_place, pair.store)
    if is_same(mark.database, pair.database):
        if not is_recorded:
            return PairJudgement("record")
        if is_same_store:
            return PairJudgement("keep")
        return PairJudgement(
            "refuse", f"is a copy: this zoo's store is {plain(own.store)}; {PAIR}. If this one replaces it: {ADOPT}"
        )
    if is_recorded and not is_same_store:
        return PairJudgement("renew")
    return PairJudgement(
        "refuse",
        f"belongs to the database of which this one is a copy ({plain(mark.address)}); {PAIR}. "
        f"If the other is gone: {ADOPT}",
    )


def look(database: Database, store: Store) -> OwnerPair:
    """What a database and a store say about each other."""
    mark = read_mark(store)
    return OwnerPair(identity.read(database), identity.place(database), mark, store.place() if mark else ())


def check(database: Database, store: Store, writing: bool) -> None:
    """Lets a pair through that belongs together. A new pair, or an older one whose files fit, is marked.

    writing  only then a mark is written
    Raises   ZooError in one line if they do not belong together
    """
    pair = look(database, store)
    action, reason = judge(pair)
    if action == "claim" and writing:
        reason = _claim_fault(database, store)
        if reason and read_mark(store) is not None:  # another process has marked it meanwhile, and written there
            check(database, store, writing)
            return
    elif action == "renew":
        reason = _renew_fault(database, store)
    if reason:
        raise ZooError(f"{shown(store.url)} does not belong to {shown(database.url)}: it {reason}")
    if writing and action == "record":
        identity.record_store(database, shown(store.url), pair.store)
    if writing and action == "renew":
        adopt(database, store)
    if writing and action == "claim" and not _write(database, store, first=True):
        check(database, store, writing)  # another process was first: its mark decides


def report(database: Database, store: Store, adopting: bool = False) -> PairReport:
    """How a database and a store belong together. Marks nothing, but with `adopting` a store that is refused."""
    if adopting and report(database, store).fault:
        adopt(database, store)
    mark, fault = _lenient_mark(store), ""
    try:
        pair = look(database, store)
        action, reason = judge(pair)
        if action in ("claim", "renew"):
            reason = (_claim_fault if action == "claim" else _renew_fault)(database, store)
        if reason:
            fault = f"{shown(store.url)} does not belong to {shown(database.url)}: it {reason.partition('; ')[0]}"
    except ZooError as error:
        fault = str(error)
    owner = "" if mark is None else mark.address or mark.kind
    return PairReport(shown(database.url), shown(store.url), owner, measure(database, store), fault)


def within_reach(checked: Callable[[], Store], store: Store, files: Sequence[File]) -> Store:
    """The store that `checked` gives, or, if it is out of reach and the files are here, the store unchecked.

    Bytes are named by their digest, so those of this machine are right whoever owns the store.
    """
    try:
        return checked()
    except UnreachableError:
        if not store.is_local(files):
            raise
        return store


def _claim_fault(database: Database, store: Store) -> str:
    """Why a database without a store may not take one without a mark; "" if it may."""
    file = sqlite_file(database.url)
    if file is not None and file.name == "zoo.db" and Path(store.url) == file.absolute().parent / "store":
        return ""  # one home
    fit = measure(database, store)
    if not fit.is_good():
        return f"bears no mark, and {fit}; {PAIR}. If they belong together: {ADOPT}"
    if not fit.stored and (fault := settings.half_pair(database.url, store.url)):
        return fault
    if not fit.stored and store.entry_objects():
        return "holds only what was pushed there; set PHIZOO_STORE to another folder"
    return ""


def _renew_fault(database: Database, store: Store) -> str:
    """Why a copied database may not take a copied store for its own; "" if it may."""
    fit = measure(database, store)
    if fit.is_good():
        return ""
    return f"is a copy, as this database is, but they do not fit: {fit}; if they belong together: {ADOPT}"


def measure(database: Database, store: Store) -> Fit:
    """How the objects of a store fit a database; what was pushed to the store's address does not count."""
    named = {
        str(row[0])
        for row in database.rows("SELECT sha256 FROM files UNION SELECT results FROM runs WHERE results <> ''")
    }
    pushed = store.entry_objects() - named
    sizes = {sha256: size for sha256, size in store.objects() if sha256 not in pushed}
    known = sizes.keys() & named
    of_known = sum(sizes[sha256] for sha256 in known)
    return Fit(len(sizes), len(known), len(named - known), sum(sizes.values()), of_known)


def adopt(database: Database, store: Store) -> None:
    """Makes a database the owner of a store: it gets a new id, and whoever owned the store is refused from now on.

    Raises  ZooError if checkpoints are pushed to that address: their bytes belong to their senders
    """
    mark = _lenient_mark(store)
    if mark is not None and mark.kind == "exchange":
        raise ZooError(f"{shown(store.url)}: {judge(OwnerPair(identity.read(database), (), mark, ())).reason}")
    identity.renew(database)
    _write(database, store, first=False)


def _lenient_mark(store: Store) -> Mark | None:
    """The mark of a store, None also if it cannot be read."""
    try:
        return msgspec.json.decode(store.read_mark() or b"", type=Mark)
    except msgspec.MsgspecError:
        return None


def _write(database: Database, store: Store, first: bool) -> bool:
    """Marks a store as this database's and records it; False if another process marked it first."""
    own = identity.read(database)
    mark = Mark(
        kind="store", zoo=own.id, database=identity.place(database), address=shown(database.url), since=_today()
    )
    if not store.write_mark(msgspec.json.encode(mark), first) or read_mark(store) != mark:
        return False
    identity.record_store(database, shown(store.url), store.place())
    return True


def mark_exchange(store: Store) -> Mark:
    """The mark of an address to push to; an address without one gets it.

    Raises  ZooError if it is a zoo's store: that zoo's gc would delete what it does not know
    """
    mark = read_mark(store)
    if mark is None:
        store.write_mark(msgspec.json.encode(Mark(kind="exchange", since=_today())), first=True)
        mark = read_mark(store)
    if mark is None or mark.kind != "exchange":
        owner = plain(mark.address) if mark else "unknown"
        raise ZooError(
            f"{shown(store.url)}: is the store of a zoo ({owner}), and its gc would delete what you push; push to "
            "another folder, or use that zoo itself: set PHIZOO_DB and PHIZOO_STORE to it, then phizoo models pull"
        )
    return mark


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
