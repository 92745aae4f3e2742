"""`phizoo data chats`: conversations become tokens with marked answers."""

from pathlib import Path

import click

from training.cli.data_options import NAME, print_made
from zoo.cli.options import AS_JSON


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="FILE-OR-NAME...")
@click.option("--tokenizer", "coder", required=True, metavar="NAME", help="The tokenizer of the model to train.")
@click.option("--template", type=click.Path(path_type=Path), help="A chat template (Jinja); phi-2's form by default.")
@NAME
@AS_JSON
def chats(sources: tuple[str, ...], coder: str, template: Path | None, name: str, as_json: bool) -> None:
    """Turn conversations into tokens, with the answers marked.

    A source is a *.jsonl file with lines {"messages": [{"role": "user", "content": "..."}, ...]}, or a dataset
    of exercises, whose prompts are asked as mini_exercises@chat asks them. A recipe with data.loss "answers"
    predicts the answers alone. The template goes into the checkpoint.

    \b
    phizoo data chats exercises --tokenizer mini-bpe --name chat-tokens
    phizoo train run phi-1-small-mini-chat
    phizoo eval run phi-1-small-mini-chat --task mini_exercises@chat
    """
    from training.data.tokens.chats import pack_chats

    print_made(pack_chats(sources, coder, name, template), as_json=as_json)
