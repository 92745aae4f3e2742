"""Writes the template teacher's drafts: one small function with its tests, or a textbook passage around some.

Drafts differ in function and argument names, constants, phrasing, examples, and the operations they combine.
A passage is an idea in words, a worked function, its result, and often a second function. Each is a pure
function of its random numbers. This file does not check that a draft is right: the sandbox runs it (`synthesize`).
"""

import builtins
import keyword
import random
import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from training.data.synthesis.cases import choose_cases, source_text
from training.data.synthesis.function_templates import FUNCTION_TEMPLATES, FunctionTemplate
from training.data.synthesis.operations import OPERATIONS, Operation
from training.tables import read_table
from zoo.records import Record

EXAMPLE = re.compile(r">>> (.*)\n    (.*)\n")
EXAMPLES = 0.2  # share with a doctest, whose random values cannot be learnt: at 1.0 a mini model solved 1 of 320


class TeacherTexts(Record, frozen=True):
    """The teacher's sentences; templates.toml explains them."""

    frames: tuple[str, ...]
    titles: tuple[str, ...]
    first: tuple[str, ...]
    again: tuple[str, ...]
    gives: tuple[str, ...]
    arguments: dict[str, tuple[tuple[str, str], ...]]
    weights: dict[str, int]
    topics: dict[str, str]
    ideas: dict[str, tuple[str, ...]]


TEXTS = read_table("data/synthesis/templates.toml", TeacherTexts)


class TemplateDraft(Record, frozen=True):
    """One exercise before it is run.

    prompt      signature and docstring, ending right after the closing quotes
    completion  the body, beginning with the newline that follows the prompt
    test        a `check(candidate)` as in HumanEval
    """

    family: str
    entry_point: str
    prompt: str
    completion: str
    test: str


def _draft(
    family: str, name: str, arguments: Sequence[str], kinds: Sequence[str], sentence: str, body: Sequence[str],
    meaning: Callable[..., Any], constants: Sequence[Any], random_: random.Random,
) -> TemplateDraft | None:  # fmt: skip
    """Assembles a draft; None if the meaning fails on all examples, such as the largest of an empty list."""
    chosen = choose_cases(kinds, meaning, constants, random_)
    if not chosen:
        return None
    given, result = chosen[0]
    shown = repr(result) if isinstance(result, str | list | dict) else source_text(result)
    example = f"\n    >>> {name}({', '.join(map(source_text, given))})\n    {shown}\n    "
    docstring = sentence + (f"\n{example}" if random_.random() < EXAMPLES else "")
    prompt = f'def {name}({", ".join(arguments)}):\n    """{docstring}"""'
    completion = "".join(f"\n    {line}" for line in body) + "\n"
    asserts = [
        f"    assert candidate({', '.join(map(source_text, given))}) == {source_text(result)}\n"
        for given, result in chosen
    ]
    return TemplateDraft(
        family=family, entry_point=name, prompt=prompt, completion=completion,
        test="def check(candidate):\n" + "".join(asserts),
    )  # fmt: skip


def _sentence(action: str, argument: str, random_: random.Random) -> str:
    frame = random_.choice(TEXTS.frames)
    return frame.format(A=action[0].upper() + action[1:], a=action, v=argument)


def _function_name(words: str, argument: str, random_: random.Random) -> str:
    """A function name from the operation's words, alone, with the argument, or with a prefix."""
    form = random_.choice(("{w}", "{w}_{v}", "do_{w}"))
    name = form.format(w=words, v=argument)
    return f"do_{name}" if name == argument or keyword.iskeyword(name) or hasattr(builtins, name) else name


def _shape_draft(shape: FunctionTemplate, random_: random.Random) -> TemplateDraft | None:
    pools = [
        TEXTS.arguments["other"] if n and kind == "number" else TEXTS.arguments[kind]
        for n, kind in enumerate(shape.arguments)
    ]
    chosen = [random_.choice(pool) for pool in pools]
    constants = [random_.choice(pool) for pool in shape.constants]
    if len(set(map(source_text, constants))) < len(constants) and shape.family == "choice":
        return None
    words = {
        "v": chosen[0][0],
        "x": chosen[0][1],
        "w": chosen[-1][0],
        **dict(zip("kji", map(source_text, constants), strict=False)),
    }
    name = _function_name(shape.name, chosen[0][0], random_)
    body = [line.format(f=name, **words) for line in shape.body]
    sentence = _sentence(random_.choice(shape.phrases).format(**words), chosen[0][0], random_)

    names = [name for name, _ in chosen]
    return _draft(shape.family, name, names, shape.arguments, sentence, body, shape.meaning, constants, random_)


def _object(operation: Operation, place: int, argument: str, item: str, random_: random.Random) -> str:
    if place:
        return {"each": "each", "all": "those", "whole": "the result"}[operation.about]
    if operation.about == "whole":
        return argument
    if operation.about == "each":
        return random_.choice((f"each {item} in {argument}", f"each item of {argument}"))
    return random_.choice((f"the items of {argument}", f"the {argument}"))


def _chain_draft(family: str, chain: Sequence[Operation], random_: random.Random) -> TemplateDraft | None:
    """A draft of one operation, or of several applied in turn to the same variable."""
    argument, item = random_.choice(TEXTS.arguments[chain[0].source])
    phrases, body, steps = [], [], []
    for place, operation in enumerate(chain):
        constants = [random_.choice(pool) for pool in (operation.k, operation.j) if pool]
        words = dict(zip("kj", map(source_text, constants), strict=False))
        if len(set(constants)) < len(constants):
            return None
        phrases.append(
            random_.choice(operation.phrases).format(o=_object(operation, place, argument, item, random_), **words)
        )
        code = operation.code.format(v=argument, x=item if item != "c" else "word", **words)
        body.append(f"{argument} = {code}" if place < len(chain) - 1 else f"return {code}")
        steps.append((operation.meaning, constants))
    name = _function_name("_".join(operation.name for operation in chain), argument, random_)

    def meaning(value: Any, *given: Any) -> Any:
        left = iter(given)
        for step, constants in steps:
            value = step(value, *islice(left, len(constants)))
        return value

    sentence = _sentence(", then ".join(phrases), argument, random_)
    every = [constant for _, constants in steps for constant in constants]
    return _draft(family, name, [argument], [chain[0].source], sentence, body, meaning, every, random_)


def _choose(random_: random.Random, *groups: str) -> Operation:
    return random_.choice([operation for group in groups for operation in OPERATIONS[group]])


def _numbers_chain(random_: random.Random) -> tuple[Operation, ...]:
    first = _choose(random_, "numbers_map", "numbers_filter", "numbers_slice")
    return (first, _choose(random_, "numbers_map", "numbers_filter", "numbers_order"))


def _numbers_end(random_: random.Random) -> tuple[Operation, ...]:
    first = _choose(random_, "numbers_map", "numbers_filter")
    return (first, _choose(random_, "numbers_reduce", "numbers_test"))


def _text_chain(random_: random.Random) -> tuple[Operation, ...]:
    return (_choose(random_, "text_slice", "text_change"), _choose(random_, "text_change"))


def _words_chain(random_: random.Random) -> tuple[Operation, ...]:
    second = _choose(random_, "words_map", "words_reduce")
    return (_choose(random_, "words_filter"), second)


def _split_chain(random_: random.Random) -> tuple[Operation, ...]:
    middle = _choose(random_, "words_map", "words_filter")
    return (OPERATIONS["text_split"][0], middle, OPERATIONS["words_reduce"][0])[: random_.choice((2, 3))]


# family -> a group of operations to choose from, or a function that combines operations
CHAINS: dict[str, Sequence[Operation] | Callable[[random.Random], tuple[Operation, ...]]] = {
    **OPERATIONS,
    "compose_numbers": _numbers_chain,
    "compose_to_one": _numbers_end,
    "compose_text": _text_chain,
    "compose_words": _words_chain,
    "compose_split": _split_chain,
}
FAMILIES: tuple[str, ...] = (*CHAINS, *dict.fromkeys(shape.family for shape in FUNCTION_TEMPLATES))


def make_draft(random_: random.Random) -> TemplateDraft | None:
    """Makes an exercise of a random family, or None if its examples make no sense."""
    return make_draft_of(random_.choices(FAMILIES, [TEXTS.weights.get(family, 2) for family in FAMILIES])[0], random_)


def make_draft_of(family: str, random_: random.Random) -> TemplateDraft | None:
    """Makes an exercise of a given family, or None if its examples make no sense."""
    if family not in CHAINS:
        return _shape_draft(random_.choice([shape for shape in FUNCTION_TEMPLATES if shape.family == family]), random_)
    group = CHAINS[family]
    chain = group(random_) if callable(group) else (random_.choice(group),)
    return _chain_draft(family, chain, random_)


def make_passage(random_: random.Random) -> tuple[str, tuple[TemplateDraft, ...]]:
    """Makes one textbook passage and its drafts; an empty text if no draft makes sense.

    >>> text, drafts = make_passage(random.Random(3))
    >>> all(draft.prompt in text for draft in drafts)
    True
    """
    topic = random_.choice(sorted(TEXTS.ideas))
    families = [family for family in FAMILIES if family.split("_")[0] == topic]
    made = [make_draft_of(random_.choice(families), random_) for _ in range(random_.choice((1, 2, 2)))]
    drafts = [draft for draft in made if draft]
    if not drafts:
        return "", ()
    ideas = random_.sample(TEXTS.ideas[topic], min(len(TEXTS.ideas[topic]), random_.choice((1, 2, 3))))
    subject = TEXTS.topics[topic]
    title = random_.choice(TEXTS.titles).format(t=subject, T=subject[0].upper() + subject[1:])
    blocks = [f"# {title}", " ".join(ideas)]
    for place, draft in enumerate(drafts):
        blocks.append(random_.choice(TEXTS.again if place else TEXTS.first))
        blocks.append((draft.prompt + draft.completion).rstrip())
        for call, result in EXAMPLE.findall(draft.prompt):
            blocks.append(random_.choice(TEXTS.gives).format(c=call, r=result))
    return "\n\n".join(blocks) + "\n", tuple(drafts)
