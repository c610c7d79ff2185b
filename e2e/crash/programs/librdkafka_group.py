"""Consumes a topic through librdkafka and commits its positions without end; see group-load.ts.

librdkafka_group.py BOOTSTRAP TOPIC GROUP assign|subscribe
Prints `partition offset` for each position whose commit was acknowledged, and `partition offset name:sequence` for each record that it was
given. When its input ends, it prints `unknown COUNT`, the number of
commits without an answer or with a refusal, and exits with 0. With `subscribe` it is a member of the group."""
import sys
import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition

bootstrap, topic, group, mode = sys.argv[1:5]
stopping = threading.Event()


def watch_input():
    sys.stdin.read()
    stopping.set()


threading.Thread(target=watch_input, daemon=True).start()

consumer = Consumer({
    'bootstrap.servers': bootstrap, 'group.id': group, 'enable.auto.commit': False, 'auto.offset.reset': 'earliest',
    'session.timeout.ms': 10000, 'heartbeat.interval.ms': 1000, 'socket.timeout.ms': 5000,
    'reconnect.backoff.ms': 20, 'reconnect.backoff.max.ms': 100, 'fetch.wait.max.ms': 50, 'fetch.error.backoff.ms': 20,
})
if mode == 'assign':
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(3)])
else:
    consumer.subscribe([topic])

unknown_count = 0
positions = {}
while not stopping.is_set():
    lines = []
    for message in consumer.consume(100, 0.05):
        if message.error() is None:
            positions[message.partition()] = message.offset() + 1
            name, sequence = message.value().split(b':', 2)[:2]
            lines.append(f'{message.partition()} {message.offset()} {name.decode()}:{sequence.decode()}\n')
    sys.stdout.write(''.join(lines))
    if not positions:
        continue
    offsets = [TopicPartition(topic, partition, offset) for partition, offset in positions.items()]
    positions = {}
    try:
        for committed in consumer.commit(offsets=offsets, asynchronous=False):
            if committed.error is None:
                print(committed.partition, committed.offset, flush=True)
            else:
                unknown_count += 1
    except KafkaException:
        unknown_count += 1
print('unknown', unknown_count, flush=True)
