"""Trains a byte-level BPE tokenizer on datasets and finds tokenizers, in the folder form that transformers loads.

Text is cut into words as in GPT-2 and CodeGen, so that a mini model's tokens look like the real ones.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.data.build import Built, Counts, MadeDataset, find, folder_of, make
from training.data.document import document_files, read_file
from zoo.digest import file_sha256, write_json
from zoo.errors import ZooError
from zoo.records import Dataset

VERSION = 1
EOS = "<|endoftext|>"
TRAIN_CHARACTERS = 20_000_000  # a 1,024-token vocabulary does not change beyond 5 million characters here
CONTEXT = 2048


def train_tokenizer(names: Sequence[str], name: str, vocabulary: int) -> MadeDataset:
    """Trains a tokenizer of `vocabulary` tokens, in a folder that `AutoTokenizer` loads."""
    if not 257 <= vocabulary <= 65_536:
        raise ZooError(f"a vocabulary of {vocabulary} is not possible: 256 bytes and EOS need 257, uint16 holds 65536")
    sources = [find(dataset, ("documents",)) for dataset in names]
    recipe = {
        "stage": "tokenizer", "version": VERSION, "vocabulary": vocabulary, "characters": TRAIN_CHARACTERS,
        "sources": [dataset.digest for dataset in sources],
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _train(work, sources, vocabulary))


def _train(work: Path, sources: Sequence[Dataset], vocabulary: int) -> Built:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    # as in GPT-2 and CodeGen, the last space of a run of white space belongs to the next word, so
    # "\n        return" is "\n       " and " return": indentation is one token, the word another.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[EOS], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    seen = Counts("documents")
    tokenizer.train_from_iterator(_texts(sources, seen), trainer)
    if tokenizer.get_vocab_size() != vocabulary:
        raise ZooError(
            f"the data gives only {tokenizer.get_vocab_size()} tokens, not {vocabulary}; lower --vocabulary or add data"
        )
    save_tokenizer(tokenizer, work / "out" / "tokenizer")
    return Built(
        kind="tokenizer", documents=seen.kept, tokens=0, stages=(seen.stage(),),
        parents=tuple(source.digest for source in sources),
        licence="; ".join(sorted({source.licence for source in sources})),
    )  # fmt: skip


def _texts(sources: Sequence[Dataset], seen: Counts) -> Iterator[str]:
    """Yields texts up to TRAIN_CHARACTERS, an equal share from each source."""
    for source in sources:
        left = TRAIN_CHARACTERS // len(sources)
        for path in document_files(folder_of(source)):
            for document in read_file(path):
                if left <= 0:
                    seen.drop("enough text")
                    continue
                left -= len(document.text)
                seen.keep()
                yield document.text


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Writes the two files that transformers reads; the same tokenizer gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "added_tokens_decoder": {
                str(tokenizer.token_to_id(EOS)): {
                    "content": EOS, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
                    "special": True,
                }
            },
            "bos_token": EOS, "clean_up_tokenization_spaces": False, "eos_token": EOS, "model_max_length": CONTEXT,
            "pad_token": EOS, "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": EOS,
        },
    )  # fmt: skip


TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")


def tokenizer_folder(name: str) -> tuple[Path, str, tuple[str, ...]]:
    """A tokenizer's folder, its digest, and its parents (the dataset that holds it, if any).

    name    a tokenizer dataset, a registered checkpoint, or a folder with a tokenizer.json, such as CodeGen's
    Raises  ZooError if it has no EOS or more tokens than uint16 holds
    """
    from tokenizers import Tokenizer

    given = Path(name)
    if (given / "tokenizer.json").is_file():
        folder, mark = given, file_sha256(given / "tokenizer.json")
        parents: tuple[str, ...] = ()
    else:
        folder, mark, parents = _own_tokenizer(name)
    try:
        loaded = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library has no exception class of its own
        raise ZooError(f"{folder / 'tokenizer.json'} is not a tokenizer ({str(error)[:100]}); give another") from None
    if loaded.token_to_id(EOS) is None or loaded.get_vocab_size() > 65_536:
        raise ZooError(
            f"the tokenizer {name} has {loaded.get_vocab_size():,} tokens and "
            f"{'no ' if loaded.token_to_id(EOS) is None else 'an '}{EOS}; it must have at most 65,536 and EOS"
        )
    return folder, mark, parents


def _own_tokenizer(name: str) -> tuple[Path, str, tuple[str, ...]]:
    from zoo.registry import open_registry

    with open_registry(readonly=True) as registry:
        if any(checkpoint.name == name for checkpoint in registry.list(name)):
            folder = registry.path(name)
            if not (folder / "tokenizer.json").is_file():
                raise ZooError(f"the checkpoint {name} has no tokenizer.json")
            return folder, file_sha256(folder / "tokenizer.json"), ()
    coder = find(name, ("tokenizer",))
    return folder_of(coder) / "tokenizer", coder.digest, (coder.digest,)


def copy_tokenizer(folder: Path, to: Path) -> None:
    """Copies a tokenizer's files and nothing else from its folder."""
    to.mkdir(parents=True)
    for file in TOKENIZER_FILES:
        if (folder / file).is_file():
            shutil.copyfile(folder / file, to / file)
