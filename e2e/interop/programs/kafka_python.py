"""kafka-python, a client written in Python alone, behind the test protocol of serve.py."""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from serve import Member, serve, to_bytes, to_text

bootstrap = sys.argv[1]
member = None


def wire(message):
    return {
        'key': to_text(message.key),
        'value': to_text(message.value),
        'headers': [[name, to_text(value)] for name, value in message.headers],
        'timestampMs': message.timestamp,
        'partition': message.partition,
        'offset': message.offset,
    }


def produce(request):
    codec = None if request['codec'] == 'none' else request['codec']
    # One request under way at a time: with more, a retry could change the order.
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, acks='all', linger_ms=50, compression_type=codec, max_in_flight_requests_per_connection=1,
    )
    sent = [
        producer.send(
            request['topic'], to_bytes(record['value']), to_bytes(record['key']),
            [(name, to_bytes(value)) for name, value in record['headers']], request['partition'], record['timestampMs'],
        )
        for record in request['records']
    ]
    for future in sent:
        future.get(30)
    producer.close()


def reader(**settings):
    return KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **settings)


def fetch(request):
    consumer, partition = reader(), TopicPartition(request['topic'], request['partition'])
    consumer.assign([partition])
    consumer.seek(partition, request['offset'])
    records = []
    while len(records) < request['count']:
        for batch in consumer.poll(1000).values():
            records += [wire(message) for message in batch]
    consumer.close()
    return records


def offset_for_time(request):
    consumer, partition = reader(), TopicPartition(request['topic'], request['partition'])
    found = consumer.offsets_for_times({partition: request['timestampMs']})
    consumer.close()
    return found[partition].offset


def join(request):
    global member
    consumer = reader(
        group_id=request['group'], auto_offset_reset='earliest', heartbeat_interval_ms=300, session_timeout_ms=10000,
    )
    consumer.subscribe([request['topic']])

    def poll():
        records = [wire(message) for batch in consumer.poll(100).values() for message in batch]
        if records:
            consumer.commit()
        return records

    member = Member(poll, lambda: [partition.partition for partition in consumer.assignment()], consumer.close)


serve({
    'produce': produce, 'fetch': fetch, 'offsetForTime': offset_for_time, 'join': join,
    'partitions': lambda _: member.partitions(), 'received': lambda _: member.received(), 'leave': lambda _: member.leave(),
})
