"""The program inside a sandbox that loads a Python function and serves its invocations over the frames on fd 3.

Entry only: it says HELLO before anything costly is imported, then hands over to virga_guest/ (start reading at
instance.py). The launcher boots it, standard library only, on any Python from 3.9 up:

    python3 -I -S -B -X utf8 /virga/guest.py python3

-S pays: without `site` Python boots in 6.3 ms instead of 9.0, and the machine's own packages stay out of sight.
-I keeps PYTHON* variables and the user's site folder out (it implies -E). -B: nothing writes __pycache__ into code.
-X utf8: text is UTF-8 in any locale. -X frozen_modules is the default where it exists, and gains nothing measurable.
__pycache__ made beside these files beforehand (python3 -m compileall -q FOLDER) takes 9 of 23 ms off what follows HELLO.

Invariant: nothing is read from the environment, and stdout and stderr stay free for the runtime's dying words.
"""

import posix
import sys
import time

CHANNEL = 3
HELLO = 16


def say_hello() -> None:
    """Sends HELLO with nothing but built-in modules. bootMs is CPU time: the clock of a process starts with it."""
    version = "v%d.%d.%d" % sys.version_info[:3]
    runtime = sys.argv[1] if len(sys.argv) > 1 else "python3"
    payload = b'{"runtime":"%s","runtimeVersion":"%s","bootMs":%.3f}' % (
        runtime.encode("ascii", "replace"),
        version.encode(),
        time.process_time() * 1000,
    )
    posix.set_blocking(CHANNEL, True)
    # Programs that the function starts must not hold the channel open.
    posix.set_inheritable(CHANNEL, False)
    posix.write(CHANNEL, len(payload).to_bytes(4, "little") + bytes((HELLO,)) + bytes(11) + payload)


def main() -> None:
    try:
        say_hello()
    except OSError as error:
        sys.exit("guest.py: fd 3 must be the socket to Virga's engine (%s); virga starts this program, not people" % error)
    # Only this package is importable from here: the function's own modules may have any name.
    folder = __file__.rpartition("/")[0] or "."
    sys.path.insert(0, folder)
    from virga_guest.instance import Instance

    sys.path.remove(folder)
    sys.argv = [""]
    Instance(CHANNEL).run()


if __name__ == "__main__":
    main()
