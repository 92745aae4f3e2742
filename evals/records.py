"""The records that a run reads and writes: Sample, Generation, Result, Run and their parts, frozen.

A Result's score is 0..1 (of a metric that is no share: 0 or more), or None for *not scored* (a fault of the engine or
the sandbox); it is never a silent 0. A text in which no answer is found scores 0, with `answer` None.
"""

from collections.abc import Generator
from typing import Any, Literal

import msgspec

from evals.scoring.thought import ThoughtPlan
from zoo.protocol_names import current_name
from zoo.records import ProtocolRecord, Record

Groups = Literal["clusters", "strata"]
Verdict = Literal["passed", "failed", "timeout", "error", "unscored", "read"]


class Sample(Record, frozen=True, kw_only=True):
    """One question of a task.

    id       stable and unique in the task: "humaneval/HumanEval/0"
    question the text from which the task makes the prompt
    target   the right answer: a string, a number, the index of the right choice
    choices  for choice tasks: the task makes its (context, continuation) pairs from these
    cluster  the group that samples share (a passage, a subject; `Task.groups` says which kind); "" if alone
    data     the rest that scoring needs (tests, entry point), as plain data
    """

    id: str
    question: str
    target: Any = None
    choices: tuple[str, ...] = ()
    cluster: str = ""
    data: dict[str, Any] = {}


class Decoding(Record, frozen=True, kw_only=True):
    """How text is generated. temperature 0 is greedy; `boundary` says how the prompt's end is encoded.

    boundary  raw: the bytes as they are. stripped: trailing white space removed before encoding.
              healed: the last token is removed, and the first new tokens must spell its bytes.
    """

    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    boundary: Literal["raw", "stripped", "healed"] = "raw"


class Message(Record, frozen=True, kw_only=True):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatShape(Record, frozen=True, kw_only=True):
    """How a task is asked by chat: everything that can change the answer beside the task's own words.

    system            text before the task's own description, as the system message
    fewshot_as_turns  each example is a message of the user and one of the model; else all are one message
    thinking          the template's own switch (`enable_thinking`); None: as the template has it
    budget            tokens of a thought at most; None: as many as the answer may have
    template          sha256 of the checkpoint's template; empty: not known yet, or the endpoint's own
    date              the day that the template writes, ISO 8601; empty where it writes none
    """

    system: str = ""
    fewshot_as_turns: bool = False
    thinking: bool | None = None
    budget: int | None = None
    template: str = ""
    date: str = ""


class GenerateRequest(Record, frozen=True, kw_only=True):
    """One text to generate: its sample and draw, the prompt, the seed of this draw.

    messages  where it is asked by chat: an endpoint is sent these, and `prompt` is what the template makes of them
    thought   where it is asked by chat: how the thought before its answer is found, and when it is closed
    """

    sample: str
    draw: int
    prompt: str
    decoding: Decoding
    seed: int
    messages: tuple[Message, ...] = ()
    thought: ThoughtPlan | None = None


class Generation(Record, frozen=True, kw_only=True):
    """A generated text, cut before the stop string.

    truncated       prompt tokens cut from the left to fit the context; 0 normally
    thought         the model's thought before its answer, which is not part of `text`
    thought_tokens  how many of `tokens` it took
    unfinished      the thought has no end, so that there is no answer
    """

    sample: str
    draw: int
    text: str
    prompt_tokens: int
    tokens: int
    finish: Literal["stop", "length", "fault"]
    truncated: int = 0
    fault: str = ""
    thought: str = ""
    thought_tokens: int = 0
    unfinished: bool = False


class StreamEnd(Record, frozen=True, kw_only=True):
    """How a streamed text ended ("stop", "length", or a server's own word), and how many tokens were written.

    "" and None: the endpoint does not say.
    """

    finish: str = ""
    tokens: int | None = None


TextStream = Generator[str, None, StreamEnd]  # the pieces of one text


class ChoiceRequest(Record, frozen=True, kw_only=True):
    """The choices of one question, or one gold answer, each scored log P(continuation | context).

    pairs    (context, continuation) of each
    whole    the one pair is a gold answer: where it is longer than the model's context it is read in pieces, which are
             its choices, so that every token of it is read
    windows  in place of pairs: tokens, and the place in them from which they are read
    """

    sample: str
    pairs: tuple[tuple[str, str], ...] = ()
    whole: bool = False
    windows: tuple[tuple[tuple[int, ...], int], ...] = ()


class Choice(Record, frozen=True, kw_only=True):
    """One scored continuation: summed log-probability (nats), tokens, and whether it is the greedy one."""

    logprob: float
    tokens: int
    greedy: bool


class ChoiceScores(Record, frozen=True, kw_only=True):
    """The scores of a ChoiceRequest, in the order of its pairs."""

    sample: str
    choices: tuple[Choice, ...]
    prompt_tokens: int = 0
    truncated: int = 0
    fault: str = ""


class Scored(Record, frozen=True, kw_only=True):
    """A task's verdict on one answer.

    metrics  every metric of the task by name, each 0..1, or 0 or more (`zoo.metrics`)
    trials   metric -> the outcomes of which the sample's value is the mean, where it has several (its instructions)
    """

    metrics: dict[str, float]
    detail: str = ""
    trials: dict[str, tuple[float, ...]] = {}


class Result(Record, frozen=True, kw_only=True):
    """One line of a run: the answer and the score of one sample and draw.

    score    the task's first metric; None = not scored, `verdict` and `detail` say why
    metrics  every metric of the task (acc and acc_norm, say)
    trials   as in Scored: a metric with trials is a mean over those of all samples, and a sample is their cluster
    verdict  passed | failed | timeout | error | unscored | read (a likelihood, which is neither right nor wrong)
    disputed  a program's verdict that rests on one view of the sandbox alone (docs/sandbox.md)
    thought  with thought_tokens and unfinished: as in the Generation
    """

    sample: str
    draw: int
    score: float | None
    metrics: dict[str, float] = {}
    answer: str | None = None
    text: str = ""
    verdict: Verdict = "failed"
    detail: str = ""
    cluster: str = ""
    finish: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    truncated: int = 0
    logprobs: tuple[float, ...] = ()
    seconds: float = 0.0
    thought: str = ""
    thought_tokens: int = 0
    unfinished: bool = False
    trials: dict[str, tuple[float, ...]] = {}
    disputed: bool = False


class Facts(Record, frozen=True, kw_only=True):
    """An engine's description of itself, kept in the run's header.

    identity  everything that determines its answers (weights, tokenizer, engine, dtype); part of the run id
    path      how it read them, known once its model is loaded; empty where an engine has one way only
    """

    engine: str
    version: str
    dtype: str
    device: str
    context_tokens: int
    identity: dict[str, Any] = {}
    path: str = ""
    can_generate: bool = True
    can_score_choices: bool = True


class Run(Record, frozen=True, kw_only=True):
    """A run's header: the checkpoint, task, engine and options. id: digest of all that determines the answers.

    protocol     the name in it is today's, whatever name the header was written under
    views        views behind the sandbox's verdicts; 0: no program was run, or disputed verdicts are not known
    cost         seconds, the answers that they were measured over, and peak_memory_bytes (`evals.meter`)
    overlapping  samples in training data, in the headers of older versions; today a `zoo.records.Search` names them
    """

    id: str
    checkpoint: str
    checkpoint_label: str
    task: str
    protocol: dict[str, Any]
    fingerprint: str
    backend: Facts
    seed: int
    draws: int
    limit: int | None
    samples: int
    hardware: dict[str, Any]
    versions: dict[str, str]
    commit: str
    sandbox: str = ""
    views: int = 0
    started: str = ""
    command: str = ""
    overlapping: tuple[str, ...] | None = None
    cost: dict[str, float] = {}

    def __post_init__(self) -> None:
        name = str(self.protocol.get("name", ""))
        now = current_name(self.task, name, str(self.protocol.get("data", "")))
        if name != now:
            protocol = {**self.protocol, "name": now}
            msgspec.structs.force_setattr(self, "protocol", protocol)
            fingerprint = msgspec.convert(protocol, ProtocolRecord).fingerprint
            msgspec.structs.force_setattr(self, "fingerprint", fingerprint)


# fields that a line has only where they say something
LATER = ("thought", "thought_tokens", "unfinished", "trials", "disputed")


def encode_line(line: Generation | Result) -> bytes:
    """A line of a run's file, with its newline. Fields of a later version are left out where they are empty."""
    fields = msgspec.structs.asdict(line)
    return msgspec.json.encode({name: value for name, value in fields.items() if value or name not in LATER}) + b"\n"


def decode_results(lines: bytes) -> list[Result]:
    """The results in the whole lines of a results file; a line cut short by a kill is left out."""
    whole = lines[: lines.rfind(b"\n") + 1]
    decoder = msgspec.json.Decoder(Result)
    return [decoder.decode(line) for line in whole.splitlines() if line.strip()]
