"""Takes the compiled code that the platform made of the artifact (../compile.py) instead of compiling the sources.

Invariant: only for files below the artifact's folder, and only what this very Python wrote; anything else is loaded as
ever. sys.pycache_prefix would be simpler, but holds for the standard library too, whose own .pyc it would hide.
Called by loading.py before the function's code runs.
"""

import sys
from importlib import machinery

# importlib.util has it too, and imports half a dozen modules for it.
from _frozen_importlib_external import MAGIC_NUMBER

_HEADER_BYTES = 16


class CompiledFileLoader(machinery.SourceFileLoader):
    """Its source is read only when somebody asks for it, as a traceback does."""

    code_folder = ""
    compiled_folder = ""

    def get_code(self, fullname):
        return self._compiled() or super().get_code(fullname)

    def _compiled(self):
        from marshal import loads

        if not self.path.startswith(self.code_folder):
            return None
        try:
            content = self.get_data(self.compiled_folder + self.path[len(self.code_folder) :] + "c")
            return loads(memoryview(content)[_HEADER_BYTES:]) if content[:4] == MAGIC_NUMBER else None
        except (OSError, EOFError, ValueError, TypeError):
            return None


def use(code_folder, compiled_folder):
    CompiledFileLoader.code_folder = code_folder + "/"
    CompiledFileLoader.compiled_folder = compiled_folder + "/"
    make = machinery.FileFinder.path_hook(
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
        (CompiledFileLoader, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    )

    def finder(path):
        if path == code_folder or path.startswith(CompiledFileLoader.code_folder):
            return make(path)
        raise ImportError("not of the artifact")

    sys.path_hooks.insert(0, finder)


def loader():
    """For the file of the handler."""
    return CompiledFileLoader if CompiledFileLoader.compiled_folder else machinery.SourceFileLoader
