"""Flask and what it is made of, from the machine's own packages (Debian's python3-flask), for functions whose artifact has none.

Invariant: nothing but these names is found there, and only after everything else was looked through: what the artifact carries
wins, and the machine's other packages stay out of sight. Called by google/__init__.py.
"""

import os
import sys

_FOLDERS = ("/usr/lib/python3/dist-packages",)
_NAMES = frozenset(("flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "click", "blinker"))


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _NAMES:
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [folder for folder in _FOLDERS if os.path.isdir(folder)], target)


def offer():
    sys.meta_path.append(_Finder)
