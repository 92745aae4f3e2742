"""Writes a text that follows a set of IFEval instructions to the letter and says nothing: the gold answer of a prompt.

It proves that the instructions of a prompt can be followed together, and that the verifiers accept a text that
follows them. It is no model of a good answer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from math import ceil
from typing import Any

from evals.scoring.instructions import VERIFIERS

Kinds = dict[str, list[Mapping[str, Any]]]  # kind -> the arguments of each instruction of it: two make a range

TEXT = (
    "the old town had a small shop that sold bread and milk to all of us in the long cold winter months while the "
    "river ran past our house and my brother would walk home along it with his dog by the light of the moon and "
    "sing about summer days when we used to swim there before school until it was dark this is what they remember "
    "most of those years but she thinks more about her mother who read to them every night from a big green book"
)
WORDS = TEXT.split()
ORDINARY = 12  # words in a sentence
RESTRICTING = ("no_comma", "forbidden_words", "frequency")  # that a request to repeat may break by itself
# the first article of the Universal Declaration of Human Rights, or its first words, without a comma
LANGUAGES = {
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق وقد وهبوا عقلا وضميرا.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права и са надарени с разум и съвест.",
    "bn": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে তাঁদের বিবেক এবং বুদ্ধি আছে",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren und sind mit Vernunft und Gewissen begabt.",
    "fa": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "gu": "પ્રતિષ્ઠા અને અધિકારોની દૃષ્ટિએ સર્વ માનવો જન્મથી સ્વતંત્ર અને સમાન હોય છે",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतंत्रता और समानता प्राप्त है और उन्हें बुद्धि की देन है",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti e sono dotati di ragione.",
    "kn": "ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿಯೇ ಜನಿಸಿದ್ದಾರೆ ಹಾಗೂ ಘನತೆ ಮತ್ತು ಹಕ್ಕುಗಳಲ್ಲಿ ಸಮಾನರಾಗಿದ್ದಾರೆ",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다",
    "mr": "सर्व मानवी व्यक्ती जन्मतः स्वतंत्र आहेत व त्यांना समान प्रतिष्ठा व समान अधिकार आहेत",
    "ne": "सबै व्यक्तिहरू जन्मजात स्वतन्त्र हुन् ती सबैको समान अधिकार र महत्व छ र निजहरूलाई विचार शक्ति दिइएको छ",
    "pa": "ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਪਣੀ ਮਹਿਮਾ ਸ਼ਾਨ ਅਤੇ ਹੱਕਾਂ ਦੇ ਪੱਖੋਂ ਜਨਮ ਤੋਂ ਹੀ ਆਜ਼ਾਦ ਹੈ",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos e são dotados de razão.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах и наделены разумом и совестью.",
    "sw": "Watu wote wamezaliwa huru na hadhi na haki zao ni sawa na wote wamejaliwa akili na dhamiri.",
    "ta": "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர் அவர்கள் மதிப்பிலும் உரிமைகளிலும் சமமானவர்கள்",
    "te": "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును జన్మతః స్వతంత్రులును సమానులును నగుదురు",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "ur": "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں اور انہیں ضمیر اور عقل ودیعت ہوئی ہے",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
}  # fmt: skip


def write_answer(instructions: Sequence[tuple[str, Mapping[str, Any]]]) -> str | None:
    """A text that follows all instructions of a prompt; None where the request that it must repeat breaks one of them.

    instructions  (kind, arguments) of each, as in `evals.scoring.instructions.VERIFIERS`
    """
    kinds: Kinds = {}
    for kind, arguments in instructions:
        kinds.setdefault(kind.split(":")[1], []).append(arguments)
    if "constrained_response" in kinds:
        return "My answer is yes."
    request = str(_first(kinds, "repeat_prompt").get("prompt_to_repeat", ""))
    limits = [(kind, given) for kind, given in instructions if kind.endswith(RESTRICTING) and not _is_least(given)]
    if request and not all(VERIFIERS[kind](request, **given) for kind, given in limits):
        return None
    text = _arrange(kinds)
    if "json_format" in kinds:
        return json.dumps({"text": text})
    if "two_responses" in kinds:
        text = f"{text}\n{'*' * 6}\n{_plain(kinds)} again"
    if request:
        text = f"{request}\n\n{text}"
    if marker := _first(kinds, "postscript").get("postscript_marker"):
        text = f"{text}\n{marker} {_plain(kinds)}"
    if phrase := _first(kinds, "end_checker").get("end_phrase"):
        text = f"{text}\n{phrase}"
    text = text.lower() if "english_lowercase" in kinds else text.upper() if "english_capital" in kinds else text
    return f'"{text}"' if "quotation" in kinds else text


def _arrange(kinds: Kinds) -> str:
    """The sentences and marks of an answer, in paragraphs, bullets and sections."""
    text = _sentences(kinds)
    if "title" in kinds:
        text = f"<<{_plain(kinds)}>> {text}"
    for kind, between in (("number_paragraphs", "\n***\n"), ("nth_paragraph_first_word", "\n\n")):
        if wanted := _first(kinds, kind):
            parts = [text, *[_plain(kinds)] * (wanted["num_paragraphs"] - 1)]
            if place := wanted.get("nth_paragraph"):
                parts[place - 1] = f"{wanted['first_word']} {parts[place - 1]}"
            text = between.join(parts)
    if sections := _first(kinds, "multiple_sections"):
        word, count = sections["section_spliter"], sections["num_sections"]
        text = "\n".join([*(f"{word} {number}" for number in range(1, count + 1)), text])
    points = [f"- {_plain(kinds)}"] * _first(kinds, "number_bullet_lists").get("num_bullets", 0)
    return "\n".join([text, *points])


def _sentences(kinds: Kinds) -> str:
    """So many sentences of so many words as are wanted, the required words and marks before the first one."""
    if language := _first(kinds, "response_language").get("language"):
        # said twice, so that required words of another language do not outweigh it
        return " ".join([LANGUAGES[language], *_required(kinds), LANGUAGES[language]])
    words, most_words = _bounds(kinds, "number_words", "num_words")
    sentences, most = _bounds(kinds, "number_sentences", "num_sentences")
    if most is None:
        sentences = max(sentences, ceil(words / ORDINARY))
    if {"english_capital", "english_lowercase"} & kinds.keys():  # few words are no evidence of a language
        words = max(words, min(8 * ORDINARY, most_words or 8 * ORDINARY))
    source = cycle(_allowed(kinds))
    each = max(4, ceil(words / sentences))
    made = [" ".join(islice(source, each)).capitalize() for _ in range(sentences)]
    # "!" always ends a sentence; "." may be taken for an abbreviation's
    return "! ".join([" ".join([*_required(kinds), made[0]]), *made[1:]]) + "!"


def _required(kinds: Kinds) -> Iterator[str]:
    """The words and marks that must stand somewhere in an answer."""
    yield from _first(kinds, "existence").get("keywords", ())
    for word in kinds.get("frequency", ()):
        yield from [word["keyword"]] * word["frequency"] if word["relation"] == "at least" else ()
    for sign in kinds.get("letter_frequency", ()):
        yield from [sign["letter"] * sign["let_frequency"]] if sign["let_relation"] == "at least" else ()
    for capitals in kinds.get("capital_word_frequency", ()):
        yield from ["NASA"] * capitals["capital_frequency"] if capitals["capital_relation"] == "at least" else ()
    yield from ["[name]"] * _first(kinds, "number_placeholders").get("num_placeholders", 0)
    yield from ["*so*"] * _first(kinds, "number_highlighted_sections").get("num_highlights", 0)


def _is_least(arguments: Mapping[str, Any]) -> bool:
    return arguments.get("relation") == "at least"


def _first(kinds: Kinds, kind: str) -> Mapping[str, Any]:
    return next(iter(kinds.get(kind, ())), {})


def _bounds(kinds: Kinds, kind: str, name: str) -> tuple[int, int | None]:
    """The least and the most that a count may be; no upper bound: None."""
    limits = kinds.get(kind, ())
    least = [arguments[name] for arguments in limits if arguments["relation"] == "at least"]
    most = [arguments[name] - 1 for arguments in limits if arguments["relation"] == "less than"]
    return max(least, default=1), min(most, default=None)


def _allowed(kinds: Kinds) -> list[str]:
    """The words that an answer may use."""
    banned = {str(a["letter"]) for a in kinds.get("letter_frequency", ()) if a["let_relation"] == "less than"}
    banned |= {str(a["keyword"]).lower() for a in kinds.get("frequency", ()) if a["relation"] == "less than"}
    forbidden = {word.lower() for word in _first(kinds, "forbidden_words").get("forbidden_words", ())}
    return [word for word in WORDS if word not in forbidden and not any(part in word for part in banned)]


def _plain(kinds: Kinds) -> str:
    """A few words for the parts that only have to be there."""
    return " ".join(_allowed(kinds)[:2])
