"""Textbook passages of the template teacher: an idea in words, a worked function, what it gives, a second one.

The sentences are templates; the functions in them are drafts of the same families as the exercises
and are tested the same way (`synthesize`). A passage is a pure function of its random numbers.
"""

import random
import re

from training.data.synthesis.templates import FAMILIES, Draft, draft_of

# family or its first word -> the idea, in sentences that may be dropped or reordered
IDEAS: dict[str, tuple[str, ...]] = {
    "numbers": (
        "A list keeps its items in order, and a comprehension makes a new list from an old one.",
        "Reading a comprehension aloud helps: for each item, do something, and collect what comes out.",
        "The built-in functions sum, max, min, sorted and len take a whole list at once.",
        "A slice such as items[1:3] takes a part of a list and leaves the list as it was.",
    ),
    "text": (
        "A text is a sequence of letters, so it can be sliced, reversed and searched like a list.",
        "Methods such as upper and replace do not change a text; they give back a new one.",
        "The method count tells how often something occurs, and the operator in tells whether it does.",
    ),
    "words": (
        "Words are kept in a list, and each word is a text of its own.",
        "The method join puts the words of a list together with a separator between them.",
        "A condition at the end of a comprehension decides which words are kept.",
    ),
    "table": (
        "A dictionary maps keys to values, and items gives both of them, pair by pair.",
        "The method get looks a key up and gives a default when the key is missing.",
        "A dictionary comprehension builds a new table from an old one.",
    ),
    "number": (
        "The operator % gives the remainder of a division, and // gives the whole part.",
        "A number is divisible by another when the remainder of the division is zero.",
        "The functions max and min keep a number inside limits.",
    ),
    "pair": ("A function may take two arguments and put them together.", "The order of the arguments matters."),
    "recursion": (
        "A recursive function calls itself with a smaller argument.",
        "There must be a case in which it stops, and that case comes first.",
        "The rest of the work is left to the call with the smaller argument.",
    ),
    "loop": (
        "A loop visits the items one after another and keeps a result in a variable.",
        "The variable starts with a value before the loop, and the function returns it after the loop.",
        "A while loop goes on as long as its condition holds, so something in it must change.",
    ),
    "running": ("A running total adds each item to the sum of the items before it.",),
    "choice": ("The statement if chooses between two results.", "When the condition fails, the code after it runs."),
    "compose": (
        "Two small steps are easier to read than one big step.",
        "The result of the first step is kept in a variable and used in the second.",
        "Putting simple functions together is how larger programs are built.",
    ),
    "nested": ("A comprehension may both select the items and change them.",
               "The condition is checked before the change."),
}  # fmt: skip
TITLES = ("Working with {t}", "More about {t}", "{T} in practice", "A lesson on {t}", "Understanding {t}")
FIRST = ("Here is a function that shows it.", "Let us look at an example.", "Consider this function.")
AGAIN = ("Here is a second one.", "The same idea appears in this function.", "Compare it with the next function.")
GIVES = ("For example, {c} gives {r}.", "Calling {c} gives {r}.", "So the result of {c} is {r}.")
TOPICS = {
    "numbers": "lists of numbers", "text": "text", "words": "lists of words", "table": "dictionaries",
    "number": "numbers", "pair": "two arguments", "recursion": "recursion", "loop": "loops",
    "running": "running totals", "choice": "choices", "compose": "steps put together", "nested": "comprehensions",
}  # fmt: skip
EXAMPLE = re.compile(r">>> (.*)\n    (.*)\n")


def passage(random_: random.Random) -> tuple[str, tuple[Draft, ...]]:
    """One passage and the drafts in it; an empty text when the teacher found no sensible example.

    >>> text, drafts = passage(random.Random(3))
    >>> all(one.prompt in text for one in drafts)
    True
    """
    topic = random_.choice(sorted(IDEAS))
    families = [family for family in FAMILIES if family.split("_")[0] == topic]
    made = [draft_of(random_.choice(families), random_) for _ in range(random_.choice((1, 2, 2)))]
    drafts = [one for one in made if one]
    if not drafts:
        return "", ()
    ideas = random_.sample(IDEAS[topic], min(len(IDEAS[topic]), random_.choice((1, 2, 3))))
    told = TOPICS[topic]
    title = random_.choice(TITLES).format(t=told, T=told[0].upper() + told[1:])
    blocks = [f"# {title}", " ".join(ideas)]
    for place, one in enumerate(drafts):
        blocks.append(random_.choice(AGAIN if place else FIRST))
        blocks.append((one.prompt + one.completion).rstrip())
        for call, result in EXAMPLE.findall(one.prompt):
            blocks.append(random_.choice(GIVES).format(c=call, r=result))
    return "\n\n".join(blocks) + "\n", tuple(drafts)
