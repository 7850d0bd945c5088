"""How long `import abc_tools` takes, beside the libraries that read the same files.

The shortest wall time of several fresh interpreters, less that of one that imports nothing: what
a busy machine adds is not the import's. The promise: abc_tools under 150 ms.
"""

import subprocess
import sys
import time

PROMISED_MS = 150
RUNS = 11
IMPORTS = ("abc_tools", "mido", "music21")


def shortest_ms(statement: str, runs: int = RUNS) -> float:
    """Shortest wall time of `python -c statement` in milliseconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append((time.perf_counter() - start) * 1000)
    return min(times)


def main() -> None:
    """Prints the table."""
    bare = shortest_ms("pass")
    print(f"start-up, shortest of {RUNS} runs, less {bare:.0f} ms for the bare interpreter")
    ours = 0.0
    for name in IMPORTS:
        net = shortest_ms(f"import {name}") - bare
        ours = ours or net
        print(f"  import {name:<10} {net:7.0f} ms  {net / ours:6.1f} x abc_tools")
    verdict = "kept" if ours < PROMISED_MS else "MISSED"
    print(f"  promised: abc_tools under {PROMISED_MS} ms: {verdict}")


if __name__ == "__main__":
    main()
