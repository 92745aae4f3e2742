"""A folder or bucket that zoos push checkpoints to and pull them from: objects, and one entry for each checkpoint.

objects/ab/ab12…                               the bytes, as in a store
entries/<name>/<version>-<digest>.json         a checkpoint's record, recipe, datasets, runs and scores
owners/<owner>/entries/…                       the same of owner/name
names/<name>.json                              whose name it is, and its aliases (`name_file`)
pins/, removals/                               of running pushes and removals (`running`)
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from zoo import ownership
from zoo.admission.records import Entry, check_entry, decode_entry, entry_files, recorded_address
from zoo.db import names
from zoo.errors import ZooError, nearest, unknown
from zoo.exchange import name_file, running
from zoo.exchange.name_file import NameFile, Sender, folder_of, split_owner
from zoo.exchange.small_files import SmallFiles
from zoo.progress import transfer_bar
from zoo.records import NAME, File
from zoo.store.bucket import BucketStore
from zoo.store.disk import DiskStore
from zoo.store.store import Advance, Store

GRACE_SECONDS = 24 * 3600.0


class Place(NamedTuple):
    """Where an entry lies, and what its path says that it is."""

    owner: str
    name: str
    version: int
    digest: str
    path: str

    @property
    def full_name(self) -> str:
        """The name, with its owner before it if it has one."""
        return f"{self.owner}/{self.name}" if self.owner else self.name

    @property
    def label(self) -> str:
        """`name:version` or `owner/name:version`."""
        return f"{self.full_name}:{self.version}"


class Removed(NamedTuple):
    """What was removed from an exchange: the entry's label, and how many objects were freed, of how many bytes."""

    label: str
    files: int
    bytes: int


class ExchangeRemote:
    """A folder or bucket of objects and entries."""

    def __init__(self, url: str, store: Store) -> None:
        self.url, self.store, self.origin = url, store, recorded_address(url)
        self.files = SmallFiles(store)

    def entry(self, spec: str) -> Entry:
        """The entry of a spec, with the aliases that point at it now."""
        places = self.places()
        if not places:
            ownership.read_mark(self.store)  # it may be out of reach, or no bucket at all
            raise ZooError(f"{self.url}: no checkpoint is there. Send one: phizoo models push NAME {self.url}")
        place = self._choose(spec, places)
        entry = self._read(place)
        aliases = self._aliases([one for one in places if one.full_name == place.full_name])
        own = tuple(sorted(alias for alias, at in aliases.items() if at == place))
        return check_entry(msgspec.structs.replace(entry, aliases=own), split_owner(spec)[1])

    def places(self) -> list[Place]:
        """Every entry, oldest version first."""
        found = []
        for path in (*self.files.paths("entries"), *self.files.paths("owners")):
            owned = name_file.OWNED.fullmatch(path)
            owner, inner = (owned[1], owned[2]) if owned else ("", path)
            folder, name, file = [*inner.split("/"), "", "", ""][:3]
            version, _, rest = file.partition("-")
            digest = rest.removesuffix(".json")
            is_entry = names.number(version) > 0 and names.FULL.fullmatch(digest) and NAME.fullmatch(name)
            if folder == "entries" and is_entry and inner == f"entries/{name}/{file}":
                found.append(Place(owner, name, names.number(version), digest, path))
        return sorted(found)

    def _choose(self, spec: str, places: Sequence[Place]) -> Place:
        """The entry that a spec means. A digest wins over a name that looks like one."""
        listing = f"phizoo models pull --list {self.origin}"
        own = [place for place in places if names.PREFIX.fullmatch(spec) and place.digest.startswith(spec)]
        if len({place.digest for place in own}) > 1:
            raise ZooError(f"{spec} begins several digests there. All: {listing}")
        if own:
            return own[-1]
        name, at, alias = spec.partition("@")
        name, colon, version = name.partition(":")
        own = [place for place in places if place.full_name == name]
        if own and at:
            aliases = self._aliases(own)
            if alias not in aliases:
                raise ZooError(f'{name} has no alias "{alias}" there{nearest(alias, aliases)}. All: {listing}')
            if (place := aliases[alias]) not in own:
                raise ZooError(f"{name}@{alias} is version {place.version}, which was not pushed there. All: {listing}")
            return place
        wanted = names.number(version) if colon else max((place.version for place in own), default=0)
        own = [place for place in own if place.version == wanted]
        if not own:
            raise unknown("checkpoint", spec, sorted({place.full_name for place in places}), listing)
        return self._only(own)

    def _only(self, own: Sequence[Place]) -> Place:
        """The one entry of a version. Two zoos may have pushed different bytes under one name, in older exchanges."""
        if len(own) > 1:
            digests = " and ".join(place.digest[:12] for place in own)
            raise ZooError(
                f"{own[0].label} is {len(own)} checkpoints there, of several zoos: {digests}; name one by its digest: "
                f"phizoo models pull {own[0].digest[:12]} {self.origin}"
            )
        return own[0]

    def _aliases(self, own: Sequence[Place]) -> dict[str, Place]:
        """Where the aliases of one name point; those that no name file knows are in the entries of older versions."""
        if not own:
            return {}
        path = name_file.name_path(own[0].owner, own[0].name)
        state = name_file.decode(self.files.read(path), path)
        aliases: dict[str, Place] = {}
        for place in own:
            for alias in self._read(place).aliases:
                if alias not in state.aliases:
                    aliases[alias] = place
        by_bytes = {(place.version, place.digest): place for place in own}
        for alias, at in state.aliases.items():
            if at.version:
                absent = Place(own[0].owner, own[0].name, at.version, at.digest, "")
                aliases[alias] = by_bytes.get((at.version, at.digest), absent)
        return aliases

    def _read(self, place: Place) -> Entry:
        """The entry of a place; its name, version and digest must be those of its path."""
        text, path = self.files.read(place.path), f"{self.origin}/{place.path}"
        if text is None:
            raise ZooError(f"{path}: has just been removed; see what is there: phizoo models pull --list {self.origin}")
        entry = decode_entry(text, path)
        checkpoint = entry.checkpoint
        if (checkpoint.name, checkpoint.version, checkpoint.digest) != place[1:4]:
            claimed = f"{checkpoint.name!r:.100} version {checkpoint.version}, {checkpoint.digest[:12]!r}"
            raise ZooError(f"{path}: its record is of {claimed}; push it again.")
        return entry

    def labels(self) -> list[str]:
        """`name:version` of all checkpoints, with the digest after it where that is not enough."""
        places = self.places()
        if not places:
            ownership.read_mark(self.store)
        counts: dict[str, int] = {}
        for place in places:
            counts[place.label] = counts.get(place.label, 0) + 1
        return [p.label if counts[p.label] == 1 else f"{p.label} {p.digest[:12]}" for p in places]

    def send(self, entry: Entry, source: Store, sender: Sender, owner: str = "") -> tuple[int, int]:
        """Stores a checkpoint there, and the aliases of its name; returns how many files were sent and their size.

        Raises  ZooError if the address is a zoo's store, or the name another zoo's
        """
        checkpoint = entry.checkpoint
        ownership.mark_exchange(self.store)
        name_file.claim(self.files, owner, checkpoint.name, sender, self._versions(owner, checkpoint.name))
        needed = {file.sha256: file for file in entry_files(entry)}
        with running.pinned(self.files, needed):
            missing = [file for file in needed.values() if self.store.has(file.sha256) != file.bytes]
            total = sum(file.bytes for file in missing)
            with transfer_bar(f"pushing {checkpoint.label}", total) as advance:
                for file in missing:
                    send_file(self.store, source, file, advance)
            path = f"{folder_of(owner)}entries/{checkpoint.name}/{checkpoint.version}-{checkpoint.digest}.json"
            self.files.write(path, msgspec.json.format(msgspec.json.encode(entry), indent=2))
            name_file.move_aliases(self.files, owner, checkpoint.name, sender)
        return len(missing), total

    def _versions(self, owner: str, name: str) -> Mapping[int, set[str]]:
        versions: dict[int, set[str]] = {}
        for place in self.places():
            if (place.owner, place.name) == (owner, name):
                versions.setdefault(place.version, set()).add(place.digest)
        return versions

    def remove(self, spec: str, zoo: str, forced: bool = False) -> Removed:
        """Removes one checkpoint, and frees the bytes that no other entry and no running push needs.

        zoo     the id of the zoo that removes it
        forced  also what other zoos pushed
        Raises  ZooError if there is none, or another zoo pushed it
        """
        ownership.mark_exchange(self.store)
        places = self.places()
        place = self._choose(spec, places)
        same = [one for one in places if one.full_name == place.full_name]
        if spec == place.full_name and len(same) > 1:
            labels = ", ".join(one.label for one in same[:5])
            raise ZooError(f"{spec} has {len(same)} versions there; say which to remove: {labels}")
        path = name_file.name_path(place.owner, place.name)
        state: NameFile = name_file.decode(self.files.read(path), path)
        if state.zoos and zoo not in state.zoos and not forced:
            raise ZooError(
                f"{self.url}: {place.label} there was pushed by another zoo; if it may go: "
                f"phizoo models push --remove --yes {place.label} {self.url}"
            )
        files = entry_files(self._read(place))
        self.files.delete(place.path)
        name_file.forget(self.files, place.owner, place.name, place.version, place.digest, is_last=len(same) == 1)
        sizes = {file.sha256: file.bytes for file in files} | self._orphans()
        freed = running.free(self.files, {*sizes})
        return Removed(place.label, len(freed), sum(sizes[sha256] for sha256 in freed))

    def _orphans(self) -> dict[str, int]:
        """Old objects that no entry names, which broken pushes left: their size by digest."""
        clock = self.store.clock()
        if clock is None:
            return {}
        named = self.store.entry_objects()
        old = [found for found in self.store.stored() if clock - found.modified > GRACE_SECONDS]
        return {found.sha256: found.bytes for found in old if found.sha256 not in named}


def send_file(store: Store, source: Store, file: File, advance: Advance) -> None:
    """Copies one object into an exchange."""
    if isinstance(store, BucketStore):
        store.upload(source.object(file.sha256), file.sha256, advance)
    else:
        keep_fetched(store, source, file, advance)


def keep_fetched(store: Store, source: Store, file: File, advance: Advance | None = None) -> None:
    """Copies one object between stores and checks it; resumes a copy that was killed."""
    local = store if isinstance(store, DiskStore) else store.cache if isinstance(store, BucketStore) else None
    if local is None:
        raise TypeError(f"{type(store).__name__} has no local folder")
    source.fetch(file, local.partial(file.sha256), advance)
    local.settle(file)
    if store is not local and local.has(file.sha256) == file.bytes:
        folder = local.object(file.sha256).parent
        store.publish(folder, [File(path=file.sha256, sha256=file.sha256, bytes=file.bytes)])
