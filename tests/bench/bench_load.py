"""The load generator beside others, on this machine: one line a figure, with how it was taken.

    python tests/bench/bench_load.py

- latency at one rate: the same server answers after a known time; k6 through ``runbook.load`` beside ``hey -q``, each with new connections,
  in turn, three rounds; the round with the lowest p99 is printed, because others use this machine, too;
- highest rate: ``wrk`` and ``hey`` closed (as fast as answers come), k6 by rising arrival rates until the generator is refused.

``hey`` and ``wrk`` are Debian's packages of these names; without one, its line says so. All traffic goes to 127.0.0.1, for seconds.
"""

import re
import shutil
import subprocess

from runbook import load
from runbook.errors import LoadError
from runbook.load import Scenario, Stage, loopback
from runbook.load.result import percentile, waited

RATE, SECONDS, DELAY_MS, ROUNDS = 200, 6, 20, 3
RATES, STEP_SECONDS = (250, 500, 1000, 1500, 2000, 3000, 4000, 6000), 3


def quiet(_):
    """Progress that nobody reads."""


def said(argv: list[str]) -> str:
    """What a program printed; "" if it is not here."""
    if not shutil.which(argv[0]):
        return ""
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def hey_at_rate(url: str) -> tuple[float, str]:
    """p99 (ms) and a sentence, of ``hey`` at the same rate: 20 workers, each at RATE / 20 a second."""
    out = said(["hey", "-z", f"{SECONDS}s", "-c", "20", "-q", str(RATE // 20), "-disable-keepalive", f"{url}/delay/{DELAY_MS}"])
    p99 = re.search(r"99% in ([\d.]+) secs", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if not (p99 and rate):
        return 0.0, "hey is not installed"
    return float(p99[1]) * 1000, f"p99 {float(p99[1]) * 1000:.1f} ms, achieved {float(rate[1]):.1f}/s"


def k6_at_rate(url: str) -> tuple[float, str]:
    """The same of k6."""
    try:
        run = load.run(Scenario(url, (Stage("a", SECONDS, RATE),), {f"/delay/{DELAY_MS}": 1}), say=quiet)
    except LoadError as refused:
        return float("inf"), f"refused in every round: {refused.what}"
    total, p99 = load.totals(run), percentile(waited(run.requests), 99)
    return p99, (f"p99 {p99:.1f} ms, achieved {total['achieved']:.1f}/s = {total['achieved'] / RATE:.1%} of offered, "
                 f"generator {total['generator_cores']:.2f} cores at most")


def closed(url: str, program: str) -> str:
    argv = {"wrk": ["wrk", "-t1", "-c50", f"-d{STEP_SECONDS}s", f"{url}/"], "hey": ["hey", "-z", f"{STEP_SECONDS}s", "-c", "50", f"{url}/"]}[program]
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said(argv))
    return f"{float(rate[1]):.0f}/s" if rate else f"{program} is not installed"


def k6_most(url: str) -> str:
    best, why = 0, "all rates were kept"
    for rate in RATES:
        try:
            run = load.run(Scenario(url, (Stage("a", STEP_SECONDS, rate),), most_waiting=500, new_connections=False), say=quiet)
        except LoadError as refused:
            why = f"refused at {rate}/s: {refused.what.split('limit: ')[-1].split('.')[0]}"
            break
        total = load.totals(run)
        if total["achieved"] < 0.99 * total["offered"]:
            why = f"at {rate}/s less than 99 % of what was offered was achieved"
            break
        best = rate
    return f"{best}/s ({why})"


def main() -> None:
    with loopback.server() as url:
        rounds = [(k6_at_rate(url), hey_at_rate(url)) for _ in range(ROUNDS)]
        k6, hey = (min(pairs)[1] for pairs in zip(*rounds))
        where = f"best of {ROUNDS} rounds in turn, 127.0.0.1, a server that answers after {DELAY_MS} ms, {RATE}/s for {SECONDS} s, new connections"
        print(f"k6 by runbook.load at one rate: {k6} [{where}]", flush=True)
        print(f"hey -q at the same rate:        {hey} [{where}; 20 workers at {RATE // 20}/s]", flush=True)
        kept = f"127.0.0.1, a server in one process that answers at once, {STEP_SECONDS} s, connections kept"
        print(f"wrk, closed:                    {closed(url, 'wrk')} [{kept}, 50 connections]", flush=True)
        print(f"hey, closed:                    {closed(url, 'hey')} [{kept}, 50 workers]", flush=True)
        print(f"k6 by runbook.load, open:       {k6_most(url)} [{kept}, rates {', '.join(map(str, RATES))}]", flush=True)


if __name__ == "__main__":
    main()
