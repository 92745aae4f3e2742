"""The API reference, made from the docstrings: `make docs`, or `python docs/api/make.py [FOLDER]`.

Every module of the four packages except the page's own scripts, which run when they are imported. A docstring is shown
as it is written: its columns (argument, shape, unit) are its meaning. A warning is an error.
"""

import os
import sys
import warnings
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("zoo", "evals", "training", "dashboard")
# run by their tools, not imported; compiled loops that ctypes loads; classes that answer for a program's, not for pdoc
LEFT_OUT = (
    "zoo.db.migrations", "dashboard.app", "dashboard.views", "training.data.dedup._words",
    "evals.sandbox.guest.standins",
)  # fmt: skip


def main() -> None:
    """Writes the pages. Raises the first warning of pdoc as an error."""
    import pdoc.render

    target = Path(sys.argv[1] if sys.argv[1:] else ROOT / "build" / "docs")
    for kind in (UserWarning, RuntimeWarning):
        warnings.simplefilter("error", kind)
    # a constant that equals a variable of the environment would be hidden and warned of: there are none to hide
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, PDOC_DISPLAY_ENV_VARS="1")
    for package in PACKAGES:
        show_public(package)
    pdoc.render.configure(template_directory=Path(__file__).parent, show_source=False, search=True)
    pdoc.pdoc(*PACKAGES, *(f"!{name}" for name in LEFT_OUT), output_directory=target)
    print(f"wrote {target / 'index.html'}: {len(list(target.rglob('*.html')))} pages")


def show_public(package: str) -> None:
    """Imports a package's public names, which it imports only when they are used, and lists its modules beside them."""
    module = import_module(package)
    vars(module).update({name: getattr(module, name) for name in module.__all__})
    modules = [each.name for each in iter_modules(module.__path__)]
    module.__all__ = [*module.__all__, *modules]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
