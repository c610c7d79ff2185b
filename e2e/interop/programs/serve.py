"""The side of a client program that talks to the tests: one JSON request a line on standard input, one answer a line on standard output."""
import base64
import json
import sys
import threading
import traceback


def to_text(data):
    return None if data is None else base64.b64encode(data).decode()


def to_bytes(text):
    return None if text is None else base64.b64decode(text)


def serve(operations):
    """Runs `operations[op](request)` for each request until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {'id': request['id'], 'result': operations[request['op']](request)}
        except Exception as error:
            traceback.print_exc()
            answer = {'id': request['id'], 'error': repr(error)}
        print(json.dumps(answer), flush=True)


class Member:
    """A group member that polls on a thread of its own, since a client must poll to keep its membership.

    `poll()` returns wire records and commits them; `assigned()` returns partition numbers; `close()` leaves the group."""

    def __init__(self, poll, assigned, close):
        self._poll, self._assigned, self._close = poll, assigned, close
        self._records, self._partitions, self._failure = [], [], None
        self._lock, self._leaving = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._leaving.is_set():
                records = self._poll()
                partitions = self._assigned()
                with self._lock:
                    self._records += records
                    self._partitions = partitions
            self._close()
        except Exception as error:
            traceback.print_exc()
            self._failure = error

    def _check(self):
        if self._failure is not None:
            raise self._failure

    def partitions(self):
        self._check()
        with self._lock:
            return self._partitions

    def received(self):
        self._check()
        with self._lock:
            return list(self._records)

    def leave(self):
        self._leaving.set()
        self._thread.join()
        self._check()
