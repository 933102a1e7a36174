"""A DNS server on 127.0.0.1, for tests."""

import socket
import struct
import threading
from contextlib import contextmanager


@contextmanager
def dns(answers: dict[str, str], code: int = 0, garbage: bytes = b""):
    """A DNS server that knows A records: name → address; ``*.`` for a wildcard of one label. Hands out ``"127.0.0.1:port"``."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                asked, client = udp.recvfrom(512)
            except OSError:
                return
            if garbage:
                udp.sendto(garbage, client)
                continue
            at, labels = 12, []
            while asked[at]:
                labels.append(asked[at + 1:at + 1 + asked[at]].decode())
                at += asked[at] + 1
            name, kind = ".".join(labels), struct.unpack(">H", asked[at + 1:at + 3])[0]
            found = answers.get(name) or answers.get("*." + name.partition(".")[2]) if kind == 1 else None
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(found) if found else b""
            # A CNAME before it, as real servers send: it is passed over.
            alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 2) + b"\xc0\x0c" if found else b""
            head = asked[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 2 if found else 0, 0, 0)
            udp.sendto(head + asked[12:at + 5] + alias + record, client)

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{udp.getsockname()[1]}"
    udp.close()
