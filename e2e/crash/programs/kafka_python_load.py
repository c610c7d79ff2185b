"""Sends numbered records without end through kafka-python and prints each acknowledgement; see program-load.ts and sender.py.

kafka_python_load.py BOOTSTRAP TOPIC NAME plain|leader CODEC RATE_PER_SECOND"""
import time

from kafka import KafkaProducer

from sender import Sender

sender = Sender()
producer = KafkaProducer(
    bootstrap_servers=sender.bootstrap, acks=1 if sender.kind == 'leader' else 'all', linger_ms=5, retries=1000000,
    compression_type=None if sender.codec == 'none' else sender.codec, retry_backoff_ms=20, reconnect_backoff_ms=20,
    reconnect_backoff_max_ms=100, request_timeout_ms=180000, max_block_ms=600000,
    # A retry may overtake what is under way.
    max_in_flight_requests_per_connection=1,
)
waiting = set()


def send(sequence):
    future = producer.send(sender.topic, value=sender.value(sequence).encode(), partition=sender.partition(sequence))
    waiting.add(sequence)

    def on_success(answer):
        waiting.discard(sequence)
        sender.acknowledged(sequence, answer.partition, answer.offset)

    def on_failure(error):
        waiting.discard(sequence)
        sender.failed(sequence, repr(error))

    future.add_callback(on_success)
    future.add_errback(on_failure)


def flush():
    producer.flush(180)
    return len(waiting)


sender.run(send, time.sleep, flush)
