"""Searches of training data and the splits of runs made from them: their rows, and what may enter.

A search enters once and changes the counts of every run of its checkpoint and task, so their splits and the scores of
their parts are deleted with it; `evals.results.split` makes them again.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from zoo.db.database import Database, insert_row, where_equal
from zoo.db.names import with_prefix
from zoo.db.rows import Newest, Tasks, insert_score, mark_chosen, where_scores
from zoo.db.stored import StoredRecord
from zoo.digest import SHA256, canonical
from zoo.errors import ZooError
from zoo.records import Score, Search, Split

SEARCH = StoredRecord(Search)
SPLIT = StoredRecord(Split)
SHOWN = 400  # characters of a name or an id in a record


def check_search(search: Search) -> Search:
    """The search, if its parts agree. Raises ZooError for one that could mislead, naming the fault."""
    place = f"the search of {search.task[:100]!r}"
    digests = [search.checkpoint, *(searched.digest for searched in search.datasets)]
    names = [search.task, search.created, *(searched.name for searched in search.datasets)]
    names += [text for how in search.methods for text in (how.method, how.form)]
    lists = {"samples": search.samples, "unsearchable": search.unsearchable, "flagged": search.flagged}
    faults = [f"{value[:20]!r} is no digest" for value in digests if not SHA256.fullmatch(value)]
    faults += [
        f"{text[:40]!r} is not printable or longer than {SHOWN} characters"
        for text in (*names, *(sample for ids in lists.values() for sample in ids))
        if not text.isprintable() or len(text) > SHOWN
    ]
    faults += [f"{name} names a sample twice" for name, ids in lists.items() if len(set(ids)) != len(ids)]
    faults += [f"{how.threshold} is no threshold" for how in search.methods if not math.isfinite(how.threshold)]
    faults += [f"{s.documents} documents" for s in search.datasets if s.documents is not None and s.documents < 0]
    if search.datasets and (strange := {*search.unsearchable, *search.flagged} - {*search.samples}):
        faults.append(f"{min(strange)!r} was not among the samples searched for")
    if search.datasets and not (search.methods and search.samples):
        faults.append("it names datasets, but no method or no samples")
    if not search.task:
        faults.append("it names no task")
    if faults:
        raise ZooError(f"{place} cannot be kept: {faults[0]}. Search again: phizoo eval contamination TASK")
    return search


def search_of_header(header: dict[str, Any]) -> Search | None:
    """The search, of unknown datasets, that the header of an older version has; None if it has no flags."""
    flagged = header.get("overlapping")
    if flagged is None:
        return None
    return Search(
        checkpoint=str(header["checkpoint"]), task=str(header["task"]), datasets=(), methods=(), samples=(),
        flagged=tuple(sorted(map(str, flagged))),
    )  # fmt: skip


def add(database: Database, search: Search, moment: str) -> Search:
    """Keeps a search, once; the splits of the runs that it concerns are to be made again."""
    dated = msgspec.structs.replace(search, created=search.created or moment)
    search = check_search(SEARCH.decode(canonical(dated)))  # as it is read back: a threshold of 13 is 13.0, one id
    with database.write():
        kept = database.rows("SELECT record FROM searches WHERE id = :id", id=search.id)
        if kept:
            return SEARCH.decode(kept[0][0])
        insert_row(
            database, "searches", id=search.id, checkpoint=search.checkpoint, task=search.task, created=search.created,
            record=canonical(search).decode(),
        )  # fmt: skip
        _drop_splits(database, search)
    return search


def remove(database: Database, prefix: str) -> Search:
    """Removes the search whose id begins so. Raises ZooError unless it is exactly one."""
    with database.write():
        rows = with_prefix(database, "searches", prefix)
        if not prefix or len(rows) != 1:
            reason = f"{prefix} begins the ids of {len(rows)} searches" if rows else f'no search "{prefix}"'
            raise ZooError(f"{reason}. The searches of a checkpoint: phizoo models show NAME")
        search = SEARCH.decode(rows[0][1])
        database.run("DELETE FROM searches WHERE id = :id", id=search.id)
        _drop_splits(database, search)
    return search


def _drop_splits(database: Database, search: Search) -> None:
    of_runs = "(SELECT run FROM scores WHERE checkpoint = :checkpoint AND task = :task)"
    values = {"checkpoint": search.checkpoint, "task": search.task}
    database.run(f"DELETE FROM splits WHERE run IN {of_runs}", **values)
    database.run("DELETE FROM scores WHERE checkpoint = :checkpoint AND task = :task AND subset <> 'all'", **values)


def read(database: Database, checkpoint: str | None, task: str | None) -> list[Search]:
    """Searches, oldest first; of one checkpoint digest and of one task if given."""
    where, values = where_equal(checkpoint=checkpoint, task=task)
    rows = database.rows(f"SELECT record FROM searches{where} ORDER BY created, id", **values)
    return [SEARCH.decode(row[0]) for row in rows]


def searched_tasks(database: Database, checkpoint: str | None = None) -> set[tuple[str, str]]:
    """(checkpoint digest, task) of all searches, or of those of one checkpoint digest."""
    where, values = where_equal(checkpoint=checkpoint)
    return {
        (row[0], row[1]) for row in database.rows(f"SELECT DISTINCT checkpoint, task FROM searches{where}", **values)
    }


def write_split(database: Database, split: Split, parts: Sequence[Score]) -> None:
    """Keeps the split of a run and the scores of its parts in place of those that it had."""
    with database.write():
        database.run("DELETE FROM splits WHERE run = :run", run=split.run)
        insert_row(database, "splits", run=split.run, record=canonical(split).decode())
        headlines: dict[tuple[Any, ...], int] = {
            (row[0], row[1]): row[2]
            for row in database.rows(
                "SELECT protocol, metric, headline FROM scores WHERE run = :run AND subset = 'all'", run=split.run
            )
        }
        database.run("DELETE FROM scores WHERE run = :run AND subset <> 'all'", run=split.run)
        for score in parts:
            insert_score(database, score, bool(headlines.get((score.protocol, score.metric), 0)))
        for checkpoint, task in {(score.checkpoint, score.task) for score in parts}:
            mark_chosen(database, checkpoint, task)


def read_splits(database: Database, checkpoint: str | None, task: Tasks, newest: Newest = None) -> dict[str, Split]:
    """The splits by run; of the checkpoints and tasks that `rows.read_scores` gives for these arguments."""
    where, values = where_scores(checkpoint, task, newest=newest)
    of_runs = f" WHERE run IN (SELECT run FROM scores{where})" if where else ""
    rows = database.rows(f"SELECT run, record FROM splits{of_runs}", **values)
    return {row[0]: SPLIT.decode(row[1]) for row in rows}


def forget_checkpoint(database: Database, digest: str) -> None:
    """Deletes the searches of a checkpoint, and the splits of its runs, inside `write()`."""
    database.run("DELETE FROM splits WHERE run IN (SELECT id FROM runs WHERE checkpoint = :digest)", digest=digest)
    database.run("DELETE FROM searches WHERE checkpoint = :digest", digest=digest)
