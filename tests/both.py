"""Runs llama.cpp's tests beside everything else: its threads spin, so that it wants its own core.

Arguments are passed on to pytest. The exit code is 0 if lint and both halves pass.
"""

import subprocess
import sys
import tempfile

PYTEST = [sys.executable, "-m", "pytest", *sys.argv[1:], "-m"]


def main() -> int:
    with tempfile.TemporaryFile("w+") as log:
        engine = subprocess.Popen([*PYTEST, "engine"], stdout=log, stderr=subprocess.STDOUT)
        others = subprocess.call(["make", "--silent", "lint"])
        others = others or subprocess.call([*PYTEST, "not engine"])
        code = engine.wait() or others
        log.seek(0)
        sys.stdout.write(log.read())
    return code


if __name__ == "__main__":
    sys.exit(main())
