"""The program that compiles an artifact's Python ahead of its first call, in a sandbox of its own: what it parses may be hostile.

Started as `python3 <flags of a guest> /virga/compile.py <most bytes to send>` in the artifact's folder. Sends a .pyc for
each .py over fd 3, under the name that it has below the artifact, as runtimes/node/compile.ts does, then exits 0.

Invariant: no code of the artifact runs: compile() only parses and compiles. What does not compile is left out, since the
guest then says what is wrong with it.
"""

import os
import sys
import time

CHANNEL = 3
# Beyond these an artifact is compiled in part: what lies higher up in its folders comes first.
FILES_MAX = 10_000
SOURCE_BYTES_MAX = 64 * 1024 * 1024
COMPILE_S_MAX = 10
PIECE_BYTES = 512 * 1024


def main():
    os.nice(19)
    os.set_blocking(CHANNEL, True)
    sys.path.insert(0, os.path.dirname(__file__))
    import warnings
    from importlib.util import MAGIC_NUMBER
    from marshal import dumps

    # They are said again to nobody; a guest that compiles the file itself says them in the function's log.
    warnings.simplefilter("ignore")
    folder = os.getcwd()
    bytes_left = int(sys.argv[1])
    source_left = SOURCE_BYTES_MAX
    until = time.monotonic() + COMPILE_S_MAX
    for stream, path in enumerate(source_files(folder), 1):
        with open(path, "rb") as file:
            source = file.read()
        source_left -= len(source)
        if source_left < 0 or time.monotonic() > until:
            break
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except Exception:
            continue
        # Unchecked (PEP 552): neither the time nor the hash of the source is looked at; the artifact never changes.
        content = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + dumps(code)
        bytes_left -= len(content)
        if bytes_left < 0:
            break
        send(stream, os.path.relpath(path, folder) + "c", content)


def source_files(folder):
    """Every .py below, those of upper folders first."""
    folders = [folder]
    found = []
    for top in folders:
        for entry in sorted(os.scandir(top), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.name.endswith(".py") and entry.is_file(follow_symlinks=False):
                found.append(entry.path)
                if len(found) >= FILES_MAX:
                    return found
    return found


def send(stream, name, content):
    from virga_guest.frames import BODY, END, FILE, header

    name = os.fsencode(name)
    write(header(FILE, len(name), stream) + name)
    for at in range(0, len(content), PIECE_BYTES):
        piece = content[at : at + PIECE_BYTES]
        write(header(BODY, len(piece), stream, END if at + len(piece) == len(content) else 0) + piece)


def write(data):
    view = memoryview(data)
    while view:
        view = view[os.write(CHANNEL, view) :]


if __name__ == "__main__":
    main()
