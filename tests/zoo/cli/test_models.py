"""`phizoo models` as it is typed: each command, its JSON, its one line on bad input, its help."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from zoo.cli import root
from zoo.cli.models import COMMANDS

Said = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs `phizoo models ...`, holds its exit code and gives back what it said."""

    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        ended = root.run(["models", *arguments])
        output = capsys.readouterr()
        assert ended == code, output.err
        if code:
            assert output.err.count("\n") == 1, output.err
            return output.err
        return output.out

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_each_line_of_the_table_is_the_commands_own_help_and_has_an_example(name: str) -> None:
    module, attribute = COMMANDS[name][0].split(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    assert command.name == name
    assert "Example:  " in (command.help or "")
    assert f"phizoo models {name}" in (command.help or "") or name == "path"


def test_the_zoo_and_its_help_import_nothing_heavy() -> None:
    code = (
        "import sys\nfrom zoo.cli import root\nimport zoo.registry\n"
        "for name in ('add', 'show', 'find'): root.run(['models', name, '--help'])\n"
        "heavy = {'torch', 'sqlalchemy', 'alembic', 'fsspec', 'numpy', 'jinja2', 'transformers', 'boto3', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_walk_through_the_commands(say: Said, tmp_path: Path, made: SimpleNamespace) -> None:
    assert "The zoo is empty" in say("list")
    assert json.loads(say("list", "--json")) == []
    base = str(made.phi(tmp_path / "a", 1))
    (tmp_path / "r.toml").write_text("[optimizer]\nrate = 0.1\n")
    added = ["--name", "one", "--licence", "mit", "--tag", "keep", "--recipe", str(tmp_path / "r.toml")]
    assert say("add", base, *added).startswith("one:1  1,059 parameters")
    assert say("add", base, *added).startswith("one:1")
    record = json.loads(
        say("add", str(made.phi(tmp_path / "b", 2)), "--name", "one", "--parent", "one:1=grow", "--json")
    )
    assert (record["version"], record["parents"][0]["relation"]) == (2, "grow")
    assert say("alias", "one:1", "best") == "one@best -> one:1\n"
    assert "expected 2" in say("alias", "one:2", "best", "--expect", "2", code=2)
    say("alias", "one:2", "best", "--expect", "1")
    assert [move["version"] for move in json.loads(say("alias", "one", "--history", "--json"))] == [1, 2]
    assert "@best  1 -> 2" in say("alias", "one", "--history")
    assert [one["version"] for one in json.loads(say("list", "one", "--all", "--json"))] == [1, 2]
    assert "best" in say("list")
    shown = say("show", "one@best")
    for text in ("one:2 (@best)", "grow of one:1", "1,059", "none. To measure: phizoo eval run one:2"):
        assert text in shown
    assert json.loads(say("show", "one", "--json"))["aliases"] == ["best"]
    assert (Path(say("path", "one").strip()) / "config.json").is_file()
    assert "one:1" in say("find", "--tag", "keep")
    assert [one["version"] for one in json.loads(say("find", "--where", "parent = one:1", "--json"))] == [2]
    assert "No checkpoint matches" in say("find", "--where", "parameters > 1B")
    assert "grow: one:1" in say("lineage", "one")
    assert json.loads(say("lineage", "one", "--json"))["edges"][0]["relation"] == "grow"
    assert say("lineage", "one", "--format", "mermaid").startswith("flowchart LR")
    assert say("lineage", "one", "--format", "dot").startswith("digraph")
    assert "optimizer.rate: 0.1 -> absent" in say("diff", "one:1", "one:2")
    assert json.loads(say("diff", "one:1", "one:1", "--json"))["tensors_equal"] == 19
    assert say("card", "one").startswith("---\nlicense:")
    say("card", "one", "--out", str(tmp_path / "card.md"))
    assert (tmp_path / "card.md").read_text() == say("card", "one")
    assert "no such folder" in say("card", "one", "--out", str(tmp_path / "x" / "y.md"), code=2)
    assert say("edit", "one:2", "--tag", "new", "--note", "hello") == "one:2: new\none:2: hello\n"
    assert say("edit", "one:2", "--untag", "new") == "one:2: no tags\n"
    assert say("tag", "one:2", "old") == say("edit", "one:2", "--tag", "old") == "one:2: old\n"
    assert say("tag", "one:2", "old", "--remove") == "one:2: no tags\n"
    assert say("note", "one:2", "former") == "one:2: former\n"
    assert "2 checkpoints verified" in say("verify")
    assert 'no checkpoint ""' in say("verify", "", code=2)
    assert "one@best" in say("remove", "one:2", code=2)
    say("alias", "one", "best", "--remove")
    assert "removed one:2" in say("remove", "one:2")
    assert "would free" in say("gc", "--dry-run")
    assert json.loads(say("gc", "--json"))["objects"] == 0
    assert json.loads(say("gc", "--grace", "0", "--json"))["objects"] == 1
    say("rename", "one", "other")
    assert "schema is" in say("upgrade")
    folder = tmp_path / "exported"
    say("export", "other", str(folder))
    assert "exists already" in say("export", "other", str(folder), code=2)
    assert (folder / "README.md").read_text().startswith('---\nlicense: "mit"')
    assert say("add", str(folder), "--name", "again").startswith("again:1")
    assert "3 files moved" not in say("push", "other", str(tmp_path / "remote"))
    assert say("pull", "--list", str(tmp_path / "remote")) == "other:1\n"
    assert json.loads(say("pull", "other", str(tmp_path / "remote"), "--json"))["files"] == 0


BAD = {
    "unknown command": (["lst"], 'nearest: "list"'),
    "unknown checkpoint": (["show", "oen"], 'nearest: "one"'),
    "unknown list": (["list", "oen"], 'nearest: "one"'),
    "no folder": (["add", "/nowhere", "--name", "x"], "not a folder"),
    "folder by a symlink": (["add", "{link}", "--name", "x"], "is a symlink; name the folder it points to"),
    "store is a file": (["push", "one", "{broken}"], "there is a file where a folder is needed"),
    "store below a file": (["export", "one", "{broken}/x"], "there is a file where a folder is needed"),
    "name too long": (["export", "one", "{a}/" + "x" * 300], "too long"),
    "no name": (["add", "/nowhere"], "not a folder"),
    "options of the hub": (["add", "{a}", "--link", "--drop-code"], "do not go with --link"),
    "a base of an address": (["add", "s3://b/lora", "--base", "x"], "do not go with --link or an address"),
    "nothing to edit": (["edit", "one"], "nothing to change"),
    "bad name": (["add", "{a}", "--name", "A B"], "cannot be a name"),
    "unknown relation": (["add", "{a}", "--name", "x", "--parent", "one=child"], "no relation"),
    "unknown dataset": (["add", "{a}", "--name", "x", "--dataset", "code=3"], "no dataset"),
    "tokens in words": (["add", "{a}", "--name", "x", "--dataset", "code=many"], "not a number of tokens"),
    "no recipe": (["add", "{a}", "--name", "x", "--recipe", "/nowhere.toml"], "no such file"),
    "broken recipe": (["add", "{a}", "--name", "x", "--recipe", "{broken}"], "cannot be read"),
    "alias missing": (["alias", "one"], "no alias given"),
    "alias bad": (["alias", "one", "../x"], "cannot be a name"),
    "pull of nothing": (["pull", "one"], "no zoo given"),
    "add of nothing": (["add", "not a repo"], '"not a repo" is no checkpoint of the zoo'),
    "add unpublished": (["add", "phi-1-small"], "was never published"),
    "variant": (["variants", "phi-3"], "no variant"),
    "export unknown": (["export", "oen", "x"], 'nearest: "one"'),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(say: Said, tmp_path: Path, made: SimpleNamespace, case: str) -> None:
    say("add", str(made.phi(tmp_path / "a", 1)), "--name", "one")
    (tmp_path / "broken.toml").write_text("a = = 1")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    places = {"a": str(tmp_path / "a"), "broken": str(tmp_path / "broken.toml"), "link": str(tmp_path / "link")}
    arguments, said = BAD[case]
    assert said in say(*(argument.format(**places) for argument in arguments), code=2)
    assert json.loads(say("list", "--json"))[0]["name"] == "one"


def test_a_database_that_is_no_address_is_one_line(say: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_DB", "zoo.db")
    assert 'PHIZOO_DB is "zoo.db", expected an address' in say("list", code=2)


def test_what_git_and_the_hub_lay_beside_is_passed_over(say: Said, tmp_path: Path, made: SimpleNamespace) -> None:
    folder = made.phi(tmp_path / "fetched")
    plain = json.loads(say("add", str(folder), "--name", "plain", "--json"))
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs")
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "objects" / "pack.py").write_text("import os")
    (folder / ".cache").symlink_to("/etc")
    for order, name in (("add", "added"), ("import", "imported")):
        assert json.loads(say(order, str(folder), "--name", name, "--json"))["digest"] == plain["digest"]
    (folder / "more").mkdir()
    (folder / "more" / ".gitignore").write_text("x")  # only at the top, where they are laid
    assert "may not enter" in say("add", str(folder), "--name", "deeper", code=2)


def test_a_folder_without_a_tokenizer_is_reported(
    tmp_path: Path, made: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    folder = made.phi(tmp_path / "x")
    assert root.run(["models", "add", str(folder), "--name", "bare"]) == 0
    assert "has no tokenizer" in capsys.readouterr().err
    Tokenizer(WordLevel({"a": 0}, unk_token="a")).save(str(folder / "tokenizer.json"))
    assert root.run(["models", "add", str(folder), "--name", "whole"]) == 0
    assert capsys.readouterr().err == ""


def test_verify_says_which_file_and_what_to_do(say: Said, tmp_path: Path, made: SimpleNamespace) -> None:
    say("add", str(made.phi(tmp_path / "a", 1)), "--name", "one")
    record = json.loads(say("show", "one", "--json"))
    sha256 = next(file["sha256"] for file in record["files"] if file["path"] == "model.safetensors")
    place = tmp_path / "home" / "store" / "objects" / sha256[:2] / sha256
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    assert "verify --repair" in say("verify", code=1)
    assert "Now add or pull" in say("verify", "--mend", code=1)  # its former name
    assert "is missing" in say("path", "one", code=2)
    say("add", str(tmp_path / "a"), "--name", "one")
    assert "1 checkpoint verified" in say("verify")


def test_variants_have_their_exact_sizes(say: Said) -> None:
    sizes = {one["name"]: one["parameters"] for one in json.loads(say("variants", "--json"))}
    assert sizes == {
        "phi-1-small": 356_794_368,
        "phi-1-base": 1_418_270_720,
        "phi-1": 1_418_270_720,
        "phi-1.5": 1_418_270_720,
        "phi-1.5-web": 1_418_270_720,
        "phi-1.5-web-only": 1_418_270_720,
        "phi-2": 2_779_683_840,
    }
    assert "phizoo models add microsoft/phi-2" in say("variants")
