"""The messages and verdicts of other tools about chats, made by their own code; run by their Python, never imported.

    PYTHON chat_side.py harness|evalplus FILE

FILE holds a JSON list, and the answers are printed as one. harness: {"config", "rows"} gives the prompts of a file below
lm_eval/tasks, and {"pairs": [[answer, right], ...]} its minerva_math's verdicts. evalplus: {"prompts": {id: prompt}}
gives the messages that its client would send to a chat endpoint; only EvalPlus itself must be installed.
"""

import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock


def harness(asked):
    import lm_eval
    from lm_eval.tasks._yaml_loader import load_yaml
    from lm_eval.utils import apply_template

    tasks = Path(lm_eval.__file__).parent / "tasks"
    if "pairs" in asked:
        sys.modules.setdefault("math_verify", types.SimpleNamespace(parse=None, verify=None))
        sys.path.insert(0, str(tasks / "minerva_math"))
        import utils

        tidy = utils.normalize_final_answer
        return [bool(utils.is_equiv(tidy(answer), tidy(right))) for answer, right in asked["pairs"]]
    config = load_yaml(tasks / asked["config"], resolve_func=False)
    return [config.get("description", "") + apply_template(config["doc_to_text"], row) for row in asked["rows"]]


def evalplus(asked):
    for name in ("datasets", "openai", "openai.types", "openai.types.chat", "tqdm", "tree_sitter", "tree_sitter_python", "wget", "appdirs", "tempdir", "multipledispatch",
                 "numpy", "rich", "rich.progress", "fire", "termcolor", "psutil"):  # fmt: skip
        try:
            __import__(name)
        except ImportError:
            sys.modules[name] = MagicMock()
    from evalplus import codegen
    from evalplus.provider import openai as endpoint

    sent = []
    endpoint.openai_request.make_auto_request = lambda _, message, **__: sent.append(message) or MagicMock()
    codegen.get_human_eval_plus = lambda version: {}
    codegen.progress = MagicMock()
    asked_of = {}
    codegen.make_model = lambda **options: asked_of.update(options) or MagicMock()
    codegen.run_codegen("m", "humaneval", root=sys.argv[2] + ".results", greedy=True, backend="openai")
    client = endpoint.OpenAIChatDecoder("m", instruction_prefix=asked_of["instruction_prefix"])
    for prompt in asked["prompts"].values():
        client.codegen(prompt.strip() + "\n", do_sample=False, num_samples=1)  # as codegen.codegen calls it
    return sent


if __name__ == "__main__":
    # the tools write to standard output
    out, sys.stdout = sys.stdout, sys.stderr
    answer = {"harness": harness, "evalplus": evalplus}[sys.argv[1]]
    json.dump([answer(one) for one in json.loads(Path(sys.argv[2]).read_text())], out)
