"""A small HTTP server on 127.0.0.1, for the rehearsal and the tests: what a load test meets, without a cluster.

``python -m runbook.load.loopback --workers 2`` prints its port and serves until its standard input closes:

- ``/busy/<ms>`` takes that long in one of ``workers`` places; others queue for a place, as behind Apache's workers or a CPU;
- ``/delay/<ms>`` takes that long, for any number at once (a known latency);
- ``/status/<number>`` answers with that status; ``/hang`` never answers; ``/`` and all else answer at once.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

ANSWER = "HTTP/1.1 {status} -\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


async def serve(port: int, workers: int) -> None:
    """Serve until standard input closes; prints ``port <number>`` first."""
    places = asyncio.Semaphore(workers)

    async def answer(path: str) -> int | None:
        _, verb, *rest = path.split("/")
        if verb == "delay":
            await asyncio.sleep(float(rest[0]) / 1000)
        elif verb == "busy":
            async with places:
                await asyncio.sleep(float(rest[0]) / 1000)
        elif verb == "hang":
            return None
        return int(rest[0]) if verb == "status" else 200

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status = await answer(head.split(b" ", 2)[1].decode())
                if status is None:
                    await reader.read()
                    break
                writer.write(ANSWER.format(status=status).encode())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port, backlog=1024)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


@contextlib.contextmanager
def server(workers: int = 2) -> Iterator[str]:
    """A server of its own process, as long as the block lasts; gives its URL."""
    process = subprocess.Popen([sys.executable, "-m", "runbook.load.loopback", "--workers", str(workers)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline().split()[1])}"
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdout.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="a small HTTP server on 127.0.0.1 to send load to")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    asyncio.run(serve(asked.port, asked.workers))
