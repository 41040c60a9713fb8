"""From a message appended on one node to the same message visible on its partner."""

from __future__ import annotations

import time

from _lab import count, machine, show, spread, status
from clients import Clients, must

SAMPLES = 100
PAUSES = {"one message a second": 1.0, "each as soon as the one before has arrived": 0.0}  # seconds
DEADLINE = 30  # seconds


def main():
    lab = status()
    clients = Clients(lab)
    user = lab["users"][0]
    pair = [node for node in lab["nodes"] if node["partition"] == user["partition"]]
    print(f"\nReplication lag, {pair[0]['name']} to {pair[1]['name']}, {machine()}")
    for name, pause in PAUSES.items():
        show(f"append to visible, {name}", spread(measure(clients, user["name"], pair, pause), "ms"))


def measure(clients, user, pair, pause):
    lags = []
    with clients.imap(user, host=pair[0]["address"]) as writer, clients.imap(user, host=pair[1]["address"]) as reader:
        seen = count(reader)
        for _sample in range(SAMPLES):
            time.sleep(pause)
            must(writer.append("INBOX", None, None, b"Subject: lag\r\n\r\nx"))
            begin = time.monotonic()
            while count(reader) == seen:
                assert time.monotonic() - begin < DEADLINE, f"nothing on {pair[1]['name']} after {DEADLINE} s"
            lags.append((time.monotonic() - begin) * 1000)
            seen += 1
        must(reader.store("1:*", "+FLAGS", r"\Deleted"))
        must(reader.expunge())
    time.sleep(5)  # the expunges reach the other node too
    return lags


if __name__ == "__main__":
    main()
