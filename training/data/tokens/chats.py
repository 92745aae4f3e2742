"""Turns conversations into tokens under a chat template, and marks which tokens are answers.

Each conversation becomes one document. A question and its answer are encoded apart, as they are when a model is asked,
and a mark beside each token says whether it belongs to an answer (`data.loss = "answers"` predicts only those) and
whether it ends a conversation. The template goes with the tokenizer into the checkpoint.
Sources: the template is phi-2's "Instruct: ... Output:" format; loss on answers alone is the usual one of instruction
tuning (arXiv:2203.02155 trains on demonstrations so).
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from evals.tasks.humaneval import INSTRUCTION
from training.data.build import Built, Counts, MadeDataset, find, folder_of, make
from training.data.document import document_files, read_file
from training.data.tokens.loader import ANSWER, END
from training.data.tokens.tokenizer import EOS, copy_tokenizer, tokenizer_folder
from zoo.admission.chat_template import ChatTemplate, TemplateFault, check_template
from zoo.digest import file_sha256, write_json
from zoo.errors import ZooError
from zoo.jsonl import read_lines

VERSION = 1
TEMPLATE = Path(__file__).with_name("chat.jinja")
VALIDATION_EVERY = 50  # one conversation in fifty, chosen by content
FORM = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}'

Messages = list[dict[str, str]]


def pack_chats(sources: Sequence[str], tokenizer: str, name: str, template: Path | None = None) -> MadeDataset:
    """Makes a token dataset with marked answers from conversations.

    sources   *.jsonl or *.jsonl.gz files of `{"messages": [...]}`, or datasets of exercises, whose prompt is asked
    template  a Jinja file; TEMPLATE by default
    """
    folder, coder, parents = tokenizer_folder(tokenizer)
    file = template or TEMPLATE
    if not file.is_file():
        raise ZooError(f"no chat template {file}; give a Jinja file, or leave --template out")
    text = file.read_text(encoding="utf-8")
    check_template(text, file.name)
    inputs = [(source, _input_digest(source)) for source in sources]
    recipe = {
        "stage": "chats", "version": VERSION, "sources": [digest for _, digest in inputs], "tokenizer": coder,
        "template": hashlib.sha256(text.encode()).hexdigest(),
    }  # fmt: skip
    origins = tuple(digest for source, digest in inputs if not _is_file(source))
    return make(
        name, recipe, None, lambda work: _build(work / "out", list(sources), folder, text, (*origins, *parents))
    )  # fmt: skip


def _is_file(source: str) -> bool:
    return source.endswith((".jsonl", ".jsonl.gz"))


def _input_digest(source: str) -> str:
    if not _is_file(source):
        return find(source, ("documents",)).digest
    if not Path(source).is_file():
        raise ZooError(f"no file {source}; give a *.jsonl file with lines like {FORM}")
    return file_sha256(Path(source))


def conversations(source: str) -> Iterator[Messages | None]:
    """The conversations of a source; None for a document that asks nothing (an exercise without a prompt)."""
    if _is_file(source):
        for where, row in read_lines(Path(source), FORM):
            yield _checked(row, where)
        return
    for path in document_files(folder_of(find(source, ("documents",)))):
        for document in read_file(path):
            asked = document.text[: document.facts.get("prompt_characters", 0)].strip()
            if not asked:
                yield None
                continue
            answer = f"```python\n{document.text.strip()}\n```"
            question = f"{INSTRUCTION}\n```python\n{asked}\n```"
            yield [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _checked(row: Any, where: str) -> Messages:
    """The messages of a line. Raises ZooError if it is no conversation."""
    try:
        read = [{"role": one["role"], "content": one["content"]} for one in row["messages"]]
        if read:
            return msgspec.convert(read, Messages)
    except (TypeError, KeyError, msgspec.ValidationError):
        pass
    raise ZooError(f"{where} is no conversation; a line is {FORM}")


def segments(template: ChatTemplate, messages: Messages) -> list[tuple[str, bool]]:
    """The text of a conversation in parts, each with whether it is an answer; ends with the last answer.

    Raises TemplateFault if the template refuses the conversation, and ValueError if it does not render one turn after
    the other, so that no part of its text is known to be the answer
    """
    parts: list[tuple[str, bool]] = []
    done = ""
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        asked = template.render(messages[:number], add_generation_prompt=True)
        answered = template.render(messages[: number + 1], add_generation_prompt=False)
        if not asked.startswith(done) or not answered.startswith(asked):
            raise ValueError("the template does not render turn after turn")
        parts += [(asked[len(done) :], False), (answered[len(asked) :], True)]
        done = answered
    return parts


class ChatWriter:
    """Writes conversations as tokens and marks: tokens.bin, answers.bin. Open it with `with`."""

    def __init__(self, out: Path, stem: str) -> None:
        self.paths = [out / f"{stem}-00000.bin", out / f"{stem}-answers-00000.bin"]
        self.tokens = 0

    def __enter__(self) -> "ChatWriter":
        self.files: list[IO[bytes]] = [path.open("wb") for path in self.paths]
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files:
            file.close()

    def add(self, ids: list[int], marks: list[int]) -> None:
        """Adds a conversation."""
        import numpy as np

        self.files[0].write(np.array(ids, "<u2").tobytes())
        self.files[1].write(np.array(marks, "u1").tobytes())
        self.tokens += len(ids)

    def listing(self) -> list[dict[str, Any]]:
        """The entry of shards.json."""
        data, marks = self.paths
        return [{"file": data.name, "tokens": self.tokens, "sha256": file_sha256(data), "answers": marks.name}]


def encode(coder: Any, parts: list[tuple[str, bool]], eos: int) -> tuple[list[int], list[int]]:
    """Token ids and marks of a conversation; its last token ends it, and is EOS, which a model must write to stop."""
    ids: list[int] = []
    marks: list[int] = []
    for text, answer in parts:
        new = coder.encode(text, add_special_tokens=False).ids
        ids += new
        marks += [ANSWER if answer else 0] * len(new)
    if ids[-1] != eos:
        ids.append(eos)
        marks.append(ANSWER)
    marks[-1] |= END
    return ids, marks


def _build(out: Path, sources: list[str], folder: Path, text: str, parents: tuple[str, ...]) -> Built:
    from tokenizers import Tokenizer

    coder = Tokenizer.from_file(str(folder / "tokenizer.json"))
    eos = int(coder.token_to_id(EOS) or 0)  # `tokenizer_folder` found it
    marks = {"bos_token": EOS, "eos_token": EOS, "pad_token": EOS}
    special = [token.content for token in coder.get_added_tokens_decoder().values() if token.special]
    template = ChatTemplate(text, "the chat template", marks)
    counts = Counts("chats")
    try:
        with ChatWriter(out, "tokens") as train, ChatWriter(out, "validation") as held:
            for source in sources:
                for messages in conversations(source):
                    fault = _fault(messages, special)
                    if fault or messages is None:
                        counts.drop(fault)
                        continue
                    try:
                        parts = segments(template, messages)
                    except (TemplateFault, ValueError) as error:
                        counts.drop("refused by the template" if isinstance(error, TemplateFault) else str(error))
                        continue
                    mark = hashlib.sha256("".join(part for part, _ in parts).encode("utf-8", "surrogatepass"))
                    aside = int(mark.hexdigest()[:8], 16) % VALIDATION_EVERY == 0
                    (held if aside else train).add(*encode(coder, parts, eos))
                    counts.drop("held for validation") if aside else counts.keep()
    finally:
        template.close()
    if not counts.kept:
        reasons = ", ".join(f"{reason} {number}" for reason, number in counts.dropped.items()) or "no line"
        raise ZooError(f"no conversation was kept ({reasons}); a line is {FORM}")
    copy_tokenizer(folder, out / "tokenizer")
    (out / "tokenizer" / "chat_template.jinja").write_text(text, encoding="utf-8")
    listing = {"eos": eos, "vocabulary": coder.get_vocab_size(), "context": None}
    write_json(out / "shards.json", listing | {"shards": train.listing(), "validation": held.listing()})
    return Built(kind="tokens", documents=counts.kept, tokens=train.tokens, stages=(counts.stage(),), parents=parents)


def _fault(messages: Messages | None, special: list[str]) -> str:
    """Why a conversation cannot be taken, or "". A text that spells a mark could end its own turn."""
    if messages is None:
        return "no question"
    if not any(message["role"] == "assistant" for message in messages):
        return "no answer"
    if any(mark in message["content"] for message in messages for mark in special):
        return "spells a mark of the tokenizer"
    return ""
