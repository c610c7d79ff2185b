"""confluent-kafka for Python (librdkafka) behind the test protocol of serve.py."""
import sys
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition

from serve import Member, serve, to_bytes, to_text

bootstrap = sys.argv[1]
member = None


def wire(message):
    return {
        'key': to_text(message.key()),
        'value': to_text(message.value()),
        'headers': [[name, to_text(value)] for name, value in message.headers() or []],
        'timestampMs': message.timestamp()[1],
        'partition': message.partition(),
        'offset': message.offset(),
    }


def checked(message):
    if message.error():
        raise Exception(message.error().str())
    return message


def produce(request):
    producer = Producer({
        'bootstrap.servers': bootstrap, 'acks': 'all', 'linger.ms': 50, 'compression.type': request['codec'],
        'enable.idempotence': request['idempotent'],
    })
    failures = []
    delivered = lambda error, _: failures.append(error.str()) if error else None
    for record in request['records']:
        producer.produce(
            request['topic'], value=to_bytes(record['value']), key=to_bytes(record['key']), partition=request['partition'],
            timestamp=record['timestampMs'], headers=[(name, to_bytes(value)) for name, value in record['headers']],
            on_delivery=delivered,
        )
    left = producer.flush(30)
    if failures or left:
        raise Exception(f'{len(failures)} failed, {left} not sent: {failures[:3]}')


def consumer(**settings):
    return Consumer({'bootstrap.servers': bootstrap, 'group.id': f'none-{uuid.uuid4()}', 'enable.auto.commit': False, **settings})


def fetch(request):
    reader = consumer()
    reader.assign([TopicPartition(request['topic'], request['partition'], request['offset'])])
    records = []
    while len(records) < request['count']:
        records += [wire(checked(message)) for message in reader.consume(request['count'] - len(records), 1.0)]
    reader.close()
    return records


def offset_for_time(request):
    reader = consumer()
    found = reader.offsets_for_times([TopicPartition(request['topic'], request['partition'], request['timestampMs'])], 20)
    reader.close()
    if found[0].error:
        raise Exception(found[0].error.str())
    return found[0].offset


def join(request):
    global member
    reader = consumer(**{
        'group.id': request['group'], 'auto.offset.reset': 'earliest', 'heartbeat.interval.ms': 300, 'session.timeout.ms': 10000,
    })
    reader.subscribe([request['topic']])

    def poll():
        messages = [checked(message) for message in reader.consume(500, 0.1)]
        if messages:
            reader.commit(asynchronous=False)
        return [wire(message) for message in messages]

    member = Member(poll, lambda: [partition.partition for partition in reader.assignment()], reader.close)


serve({
    'produce': produce, 'fetch': fetch, 'offsetForTime': offset_for_time, 'join': join,
    'partitions': lambda _: member.partitions(), 'received': lambda _: member.received(), 'leave': lambda _: member.leave(),
})
