"""
Copies records of one topic to another, exactly once: what was read and what was written is committed together, in one transaction per
batch; every third batch is aborted and done again. Prints the values that a consumer of committed records finds afterwards, as JSON.

    confluent_transactions.py BOOTSTRAP FROM TO COUNT
"""
import json
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

bootstrap, source, target, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
group = 'copy-' + uuid.uuid4().hex

plain = Producer({'bootstrap.servers': bootstrap})
for number in range(count):
    plain.produce(source, value=str(number))
plain.flush(30)

consumer = Consumer({
    'bootstrap.servers': bootstrap, 'group.id': group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False,
    'isolation.level': 'read_committed',
})
consumer.subscribe([source])
producer = Producer({'bootstrap.servers': bootstrap, 'transactional.id': group, 'transaction.timeout.ms': 20000})


def insist(call, *args):
    """As long as the client says that trying again can help."""
    deadline = time.time() + 60
    while True:
        try:
            return call(*args)
        except KafkaException as error:
            if not error.args[0].retriable() or time.time() > deadline:
                raise


def copy(batch):
    """Whether the batch was copied; else its transaction was aborted."""
    global batch_number
    batch_number += 1
    producer.begin_transaction()
    try:
        for message in batch:
            producer.produce(target, value='copy of ' + message.value().decode())
        if batch_number % 3 != 0:
            offsets = [TopicPartition(m.topic(), m.partition(), m.offset() + 1) for m in batch]
            insist(producer.send_offsets_to_transaction, offsets, consumer.consumer_group_metadata(), 30)
            insist(producer.commit_transaction, 30)
            return True
        # Of a transaction that its coordinator has not heard of yet, librdkafka does not survive the abort.
        producer.flush(30)
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            raise
    insist(producer.abort_transaction, 30)
    return False


insist(producer.init_transactions, 30)
copied, batch_number, failures = 0, 0, 0
while copied < count:
    # While a broker is lost there are errors between the records, and pauses.
    batch = [message for message in consumer.consume(10, timeout=10) if not message.error()]
    if not batch:
        failures += 1
        if failures > 6:
            sys.exit('nothing to copy')
        continue
    if copy(batch):
        copied += len(batch)
    else:
        first = batch[0]
        consumer.seek(TopicPartition(first.topic(), first.partition(), first.offset()))
committed = consumer.committed([TopicPartition(source, 0)], 30)[0].offset
consumer.close()

reader = Consumer({
    'bootstrap.servers': bootstrap, 'group.id': group + '-reader', 'auto.offset.reset': 'earliest',
    'isolation.level': 'read_committed', 'enable.partition.eof': True,
})
reader.assign([TopicPartition(target, 0, 0)])
values = []
while True:
    message = reader.poll(10)
    if message is None:
        sys.exit('no end of the partition')
    if message.error():
        break
    values.append(message.value().decode())
reader.close()
print(json.dumps({'committed': committed, 'values': values}))
