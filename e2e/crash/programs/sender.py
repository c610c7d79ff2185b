"""What the programs that send numbered records have in common.

Arguments: BOOTSTRAP TOPIC NAME KIND CODEC RATE_PER_SECOND. Prints `sequence partition offset` for each acknowledged record, with `-` for an
offset that the client does not know. When its input ends, it sends what is left, prints `sent COUNT` and exits with 0; with 1 if any
record failed, since then the history says nothing about it."""
import sys
import threading
import time

PARTITION_COUNT = 3


class Sender:
    def __init__(self):
        self.bootstrap, self.topic, self.name, self.kind, self.codec, rate = sys.argv[1:7]
        self.rate = float(rate)
        self.failures = []
        self.stopping = threading.Event()
        threading.Thread(target=self._watch_input, daemon=True).start()

    def _watch_input(self):
        sys.stdin.read()
        self.stopping.set()

    def partition(self, sequence):
        return sequence % PARTITION_COUNT

    def value(self, sequence):
        return f'{self.name}:{sequence}:' + 'x' * (sequence * 37 % 1500)

    def acknowledged(self, sequence, partition, offset):
        # One call: clients with threads of their own report at the same time.
        sys.stdout.write(f"{sequence} {partition} {'-' if offset is None or offset < 0 else offset}\n")
        sys.stdout.flush()

    def failed(self, sequence, reason):
        self.failures.append(f'{sequence}: {reason}')

    def run(self, send, wait, flush):
        """`send(sequence)` takes a record; `wait(seconds)` lets time pass; `flush()` gives how many were not answered."""
        sequence = 0
        started = time.monotonic()
        while not self.stopping.is_set():
            send(sequence)
            sequence += 1
            wait(max(0, started + sequence / self.rate - time.monotonic()))
        left = flush()
        print('sent', sequence, flush=True)
        if self.failures or left:
            sys.exit(f'{len(self.failures)} failed, {left} left: {self.failures[:3]}')
