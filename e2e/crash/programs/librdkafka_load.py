"""Sends numbered records without end through librdkafka and prints each acknowledgement; see librdkafka-load.ts.

librdkafka_load.py BOOTSTRAP TOPIC NAME idempotent|plain RATE_PER_SECOND
Prints `sequence partition offset` for each acknowledged record, with `-` for an offset that the client does not know. When its input ends, it sends what is left, prints `sent COUNT`
and exits with 0; with 1 if any record failed, since then the history says nothing about it."""
import sys
import threading
import time

from confluent_kafka import Producer

bootstrap, topic, name, kind, rate = sys.argv[1:6]
partition_count = 3
stopping = threading.Event()
failures = []


def watch_input():
    sys.stdin.read()
    stopping.set()


threading.Thread(target=watch_input, daemon=True).start()

producer = Producer({
    'bootstrap.servers': bootstrap, 'acks': 'all', 'linger.ms': 2, 'message.timeout.ms': 120000, 'socket.timeout.ms': 10000,
    'reconnect.backoff.ms': 20, 'reconnect.backoff.max.ms': 100, 'retry.backoff.ms': 20, 'message.send.max.retries': 10000,
    # A retry may overtake what is under way unless the broker can tell the order.
    **({'enable.idempotence': True} if kind == 'idempotent' else {'max.in.flight.requests.per.connection': 1}),
})


def delivered_as(sequence):
    def delivered(error, message):
        if error:
            failures.append(f'{sequence}: {error.str()}')
        else:
            # librdkafka infers some acknowledgements from later ones, after a connection was lost; their offsets it does not know.
            offset = message.offset()
            print(sequence, message.partition(), '-' if offset is None or offset < 0 else offset, flush=True)
    return delivered


sequence = 0
started = time.monotonic()
while not stopping.is_set():
    value = f'{name}:{sequence}:' + 'x' * (sequence * 37 % 1500)
    try:
        producer.produce(topic, value=value, partition=sequence % partition_count, on_delivery=delivered_as(sequence))
        sequence += 1
    except BufferError:
        producer.poll(0.1)
    producer.poll(max(0, started + sequence / float(rate) - time.monotonic()))
left = producer.flush(60)
print('sent', sequence, flush=True)
if failures or left:
    sys.exit(f'{len(failures)} failed, {left} left: {failures[:3]}')
