"""Verifies the 25 kinds of instruction of IFEval: one function a kind, one table, plain code and no model.

Each verifier takes the response and the arguments of its instruction. The rules are the paper's; where it gives none
(is a keyword inside a word a keyword? may a closing mark follow the last phrase?) they are those behind the published
numbers, lm-evaluation-harness 0.4.13's. docs/protocols.md lists the points where the two part. Not here: which
instructions a prompt has, and the metrics (`evals.tasks.ifeval`).

Source  Zhou et al. 2023, arXiv:2311.07911, table 1 (the kinds) and section 2.2 (strict and loose).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evals.scoring.language import count_sentences, count_words, detect_language, split_words

Verifier = Callable[..., bool]

OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
DIVIDER, RESPONSE_DIVIDER = re.compile(r"\s?\*\*\*\s?"), "*" * 6
STAR_BULLET = re.compile(r"^\s*\*[^*].*$", re.MULTILINE)  # `**` at the start of a line is bold text
DASH_BULLET = re.compile(r"^\s*-.*$", re.MULTILINE)
HIGHLIGHT, BOLD = re.compile(r"\*([^\n*]*)\*"), re.compile(r"\*\*([^\n*]*)\*\*")
TITLE = re.compile(r"<<[^\n]+>>")
FENCES = ("```json", "```Json", "```JSON", "```")
ENDS_WORD = frozenset(".,?!'\"")
MARKERS = {"P.P.S": re.compile(r"p\.\s?p\.\s?s"), "P.S.": re.compile(r"p\.\s?s\.")}


def compares(count: int, relation: str, threshold: int) -> bool:
    """Whether a count has the relation to a threshold: "at least", or "less than".

    >>> compares(3, "at least", 3), compares(3, "less than", 3)
    (True, False)
    """
    return count < threshold if relation == "less than" else count >= threshold


def has_keywords(text: str, keywords: Sequence[str]) -> bool:
    """Each keyword occurs, in any case, also inside a word."""
    return all(_count(word, text) for word in keywords)


def repeats_keyword(text: str, keyword: str, frequency: int, relation: str) -> bool:
    """A keyword occurs so often, in any case, also inside a word."""
    return compares(_count(keyword.strip(), text), relation, frequency)


def avoids_words(text: str, forbidden_words: Sequence[str]) -> bool:
    """None of the words occurs as a whole word, in any case."""
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden_words)


def repeats_letter(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    """A character occurs so often, in any case. It is a sign in two prompts (`#` and `!`)."""
    return compares(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def is_in_language(text: str, language: str) -> bool:
    """The response as a whole is in a language; a text without a word of any language passes."""
    return detect_language(text) in (language, None)


def has_words(text: str, num_words: int, relation: str) -> bool:
    """So many words."""
    return compares(count_words(text), relation, num_words)


def has_sentences(text: str, num_sentences: int, relation: str) -> bool:
    """So many sentences."""
    return compares(count_sentences(text), relation, num_sentences)


def has_paragraphs(text: str, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs between the dividers `***`; only the first and the last part may be empty."""
    parts = [part.strip() for part in DIVIDER.split(text)]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


def starts_paragraph(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly so many paragraphs between blank lines, the nth of which starts with a word.

    A run of blank lines makes empty paragraphs: they do not count, but they are numbered.
    """
    parts = [part.strip() for part in text.split("\n\n")]
    count = sum(map(bool, parts))
    if nth_paragraph > count or not parts[nth_paragraph - 1]:
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    end = next((place for place, letter in enumerate(word) if letter in ENDS_WORD), len(word))
    return count == num_paragraphs and word[:end].lower() == first_word.lower()


def has_placeholders(text: str, num_placeholders: int) -> bool:
    """At least so many placeholders in square brackets, each on one line."""
    return len(re.findall(r"\[.*?\]", text)) >= num_placeholders


def has_postscript(text: str, postscript_marker: str) -> bool:
    """The marker of a postscript, in any case, at any place."""
    marker = postscript_marker.strip()
    pattern = MARKERS.get(marker) or re.compile(re.escape(marker.lower()))
    return pattern.search(text.lower()) is not None


def has_bullets(text: str, num_bullets: int) -> bool:
    """Exactly so many bullets, `*` or `-` at the start of a line."""
    return len(STAR_BULLET.findall(text)) + len(DASH_BULLET.findall(text)) == num_bullets


def chooses_option(text: str) -> bool:
    """One of the three answers stands in the response."""
    return any(option in text for option in OPTIONS)


def has_highlights(text: str, num_highlights: int) -> bool:
    """At least so many highlighted parts, `*so*`; bold ones, `**so**`, too."""
    single = sum(bool(part.strip()) for part in HIGHLIGHT.findall(text))
    return single + sum(bool(part.strip()) for part in BOLD.findall(text)) >= num_highlights


def has_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    """At least so many section marks, each the word and a number: `Section 2`."""
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)) >= num_sections


def is_json(text: str) -> bool:
    """The whole response is JSON, in a fence or not."""
    body = text.strip()
    for fence in FENCES:
        body = body.removeprefix(fence)
    try:
        json.loads(body.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def has_title(text: str) -> bool:
    """A title in double angular brackets, not an empty one."""
    return any(title.lstrip("<").rstrip(">").strip() for title in TITLE.findall(text))


def has_two_responses(text: str) -> bool:
    """Exactly two different responses between the dividers `******`; only the first and the last part may be empty."""
    parts = [part.strip() for part in text.split(RESPONSE_DIVIDER)]
    filled = [part for part in parts if part]
    return all(parts[1:-1]) and len(filled) == 2 and filled[0] != filled[1]


def repeats_prompt(text: str, prompt_to_repeat: str) -> bool:
    """The response starts with the request, word for word, in any case."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def ends_with(text: str, end_phrase: str) -> bool:
    """The response ends with a phrase, in any case; quotation marks around it do not matter."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def repeats_capitals(text: str, capital_frequency: int, capital_relation: str) -> bool:
    """So many words are all in capital letters."""
    return compares(sum(word.isupper() for word in split_words(text)), capital_relation, capital_frequency)


def is_english_capitals(text: str) -> bool:
    """English in capital letters alone."""
    return text.isupper() and is_in_language(text, "en")


def is_english_lowercase(text: str) -> bool:
    """English in lower-case letters alone."""
    return text.islower() and is_in_language(text, "en")


def has_no_comma(text: str) -> bool:
    """No comma."""
    return "," not in text


def is_quoted(text: str) -> bool:
    """The whole response stands between double quotation marks."""
    body = text.strip()
    return len(body) > 1 and body[0] == body[-1] == '"'


VERIFIERS: dict[str, Verifier] = {
    "keywords:existence": has_keywords,
    "keywords:frequency": repeats_keyword,
    "keywords:forbidden_words": avoids_words,
    "keywords:letter_frequency": repeats_letter,
    "language:response_language": is_in_language,
    "length_constraints:number_sentences": has_sentences,
    "length_constraints:number_paragraphs": has_paragraphs,
    "length_constraints:number_words": has_words,
    "length_constraints:nth_paragraph_first_word": starts_paragraph,
    "detectable_content:number_placeholders": has_placeholders,
    "detectable_content:postscript": has_postscript,
    "detectable_format:number_bullet_lists": has_bullets,
    "detectable_format:constrained_response": chooses_option,
    "detectable_format:number_highlighted_sections": has_highlights,
    "detectable_format:multiple_sections": has_sections,
    "detectable_format:json_format": is_json,
    "detectable_format:title": has_title,
    "combination:two_responses": has_two_responses,
    "combination:repeat_prompt": repeats_prompt,
    "startend:end_checker": ends_with,
    "startend:quotation": is_quoted,
    "change_case:capital_word_frequency": repeats_capitals,
    "change_case:english_capital": is_english_capitals,
    "change_case:english_lowercase": is_english_lowercase,
    "punctuation:no_comma": has_no_comma,
}


def follows(kind: str, text: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a response follows one instruction, strictly; a blank one follows none."""
    return bool(text.strip()) and VERIFIERS[kind](text, **arguments)


def loose_forms(text: str) -> list[str]:
    """The eight forms of a response under which the loose metrics look at it, the response itself first.

    Without its first line, its last line or both (an introduction, a closing remark), each with and without the
    asterisks of markdown.
    """
    lines = text.split("\n")
    cuts = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*cuts, *(cut.replace("*", "") for cut in cuts)]


def follows_loosely(kind: str, text: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a response follows one instruction under any of its loose forms."""
    return any(follows(kind, form, arguments) for form in dict.fromkeys(loose_forms(text)))


def _count(word: str, text: str) -> int:
    return len(re.findall(re.escape(word), text, re.IGNORECASE))
