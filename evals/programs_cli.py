"""`phizoo eval programs`: the sandbox as a filter."""

import json
import sys
import click


@click.command()
@click.option("--workers", type=int, default=None)
def programs(workers):
    from evals.sandbox import Program, open_sandbox

    def read():
        for line in sys.stdin:
            if line.strip():
                r = json.loads(line)
                yield Program(
                    id=r["id"],
                    prompt=r["prompt"],
                    completion=r["completion"],
                    test=r["test"],
                    entry_point=r["entry_point"],
                    timeout_seconds=float(r.get("timeout", 3.0)),
                    form=r.get("form", "humaneval"),
                )

    with open_sandbox(workers) as s:
        for v in s.run(read()):
            print(json.dumps({"id": v.id, "verdict": v.verdict, "detail": v.detail, "seconds": v.seconds}), flush=True)


if __name__ == "__main__":
    programs()
