"""A protocol's name as a record: the protocol that a run started from, and how it departs from it."""

import re

import msgspec

from zoo.records import Record

NUMBER = r"\d+(?:\.\d+)?(?:e[+-]\d+)?"
NAME = re.compile(
    r"(?P<base>.+?)(?:-(?P<subset>quick\d?|part-\d+))?(?:>(?P<rescored_as>[\w.+-]+))?"
    r"(?P<chat>, chat)?(?P<turns>, turns)?(?:, system (?P<system>[0-9a-f]{8}))?"
    r"(?:, thinking (?P<thinking>on|off))?(?:, budget (?P<budget>\d+))?"
    rf"(?: t=(?P<temperature>{NUMBER}) p=(?P<top_p>{NUMBER}))?"
    r"(?: check (?P<boundary>raw|stripped|healed)(?P<newline> newline)?)?(?P<imported> elsewhere)?",
    re.DOTALL,
)


class ProtocolName(Record, frozen=True, kw_only=True):
    """The protocol that a run started from, and how it departs from it.

    base         a protocol of the task; for the results of another tool, its name and release
    subset       the part of the samples: quick2, part-40
    rescored_as  the protocol that scored the saved generations
    chat         a protocol of completions, asked by chat
    turns        with system, thinking and budget: how a chat departs from its protocol's own; `evals.records.ChatShape`
    system       the first 8 digits of the system text's sha256
    temperature  with top_p: the sampling, where it is not the protocol's own
    boundary     with newline: how a boundary check ends the prompts
    imported     measured by another tool
    """

    base: str
    subset: str = ""
    rescored_as: str = ""
    chat: bool = False
    turns: bool = False
    system: str = ""
    thinking: str = ""
    budget: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    boundary: str = ""
    newline: bool = False
    imported: bool = False

    @classmethod
    def parse(cls, text: str) -> "ProtocolName":
        """The record of a rendered name; a text of no such form is a base as a whole.

        >>> ProtocolName.parse("openai-quick2>evalplus t=0.2 p=0.95").subset
        'quick2'
        """
        match = NAME.fullmatch(text)
        if match is None:
            return cls(base=text)
        parts = match.groupdict()
        name = cls(
            base=parts["base"], subset=parts["subset"] or "", rescored_as=parts["rescored_as"] or "",
            chat=bool(parts["chat"]), turns=bool(parts["turns"]), system=parts["system"] or "",
            thinking=parts["thinking"] or "", budget=int(parts["budget"]) if parts["budget"] else None,
            temperature=float(parts["temperature"]) if parts["temperature"] else None,
            top_p=float(parts["top_p"]) if parts["top_p"] else None, boundary=parts["boundary"] or "",
            newline=bool(parts["newline"]), imported=bool(parts["imported"]),
        )  # fmt: skip
        return name if name.render() == text else cls(base=text)

    def render(self) -> str:
        """The name as text. It is part of the fingerprint: a change here orphans every published score.

        >>> ProtocolName(base="openai", rescored_as="evalplus", temperature=0.2, top_p=0.95).render()
        'openai>evalplus t=0.2 p=0.95'
        >>> ProtocolName(base="lm-eval", chat=True, turns=True).render()
        'lm-eval, chat, turns'
        """
        text = self.base
        text += f"-{self.subset}" if self.subset else ""
        text += f">{self.rescored_as}" if self.rescored_as else ""
        text += (", chat" if self.chat else "") + (", turns" if self.turns else "")
        text += f", system {self.system}" if self.system else ""
        text += f", thinking {self.thinking}" if self.thinking else ""
        text += f", budget {self.budget}" if self.budget is not None else ""
        text += f" t={self.temperature:g} p={self.top_p:g}" if self.temperature is not None else ""
        text += f" check {self.boundary}{' newline' if self.newline else ''}" if self.boundary else ""
        return text + (" elsewhere" if self.imported else "")

    def replace(self, **changes: str | float | bool | None) -> "ProtocolName":
        """The name with other parts."""
        return msgspec.structs.replace(self, **changes)

    @property
    def shape(self) -> bool:
        """Whether a part of it says how a chat is asked."""
        return self.without_shape() != self

    def without_shape(self) -> "ProtocolName":
        """The name without the parts that say how a chat is asked."""
        return self.replace(chat=False, turns=False, system="", thinking="", budget=None)

    @property
    def own(self) -> str:
        """The protocol of our task that it started from, with its subset: a name that `phizoo eval run` knows."""
        return ProtocolName(base=self.base, subset=self.subset).render()
