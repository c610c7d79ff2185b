"""Sends numbered records without end through librdkafka and prints each acknowledgement; see program-load.ts and sender.py.

librdkafka_load.py BOOTSTRAP TOPIC NAME idempotent|plain|leader CODEC RATE_PER_SECOND"""
from confluent_kafka import Producer

from sender import Sender

sender = Sender()
producer = Producer({
    'bootstrap.servers': sender.bootstrap, 'linger.ms': 2, 'message.timeout.ms': 600000, 'socket.timeout.ms': 10000,
    'reconnect.backoff.ms': 20, 'reconnect.backoff.max.ms': 100, 'retry.backoff.ms': 20, 'message.send.max.retries': 10000,
    # What piles up while the broker is away must fit into the smallest segments of the tests.
    'batch.size': 40000, 'compression.type': sender.codec, 'acks': '1' if sender.kind == 'leader' else 'all',
    # A retry may overtake what is under way unless the broker can tell the order.
    **({'enable.idempotence': True} if sender.kind == 'idempotent' else {'max.in.flight.requests.per.connection': 1}),
})


def delivered_as(sequence):
    def delivered(error, message):
        if error:
            sender.failed(sequence, error.str())
        else:
            # librdkafka infers some acknowledgements from later ones, after a connection was lost; their offsets it does not know.
            sender.acknowledged(sequence, message.partition(), message.offset())
    return delivered


def send(sequence):
    while True:
        try:
            return producer.produce(
                sender.topic, value=sender.value(sequence), partition=sender.partition(sequence), on_delivery=delivered_as(sequence))
        except BufferError:
            producer.poll(0.1)


sender.run(send, producer.poll, lambda: producer.flush(180))
