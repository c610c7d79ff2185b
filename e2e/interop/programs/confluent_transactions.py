"""
Copies records of one topic to another, exactly once: what was read and what was written is committed together, in one transaction per
batch; every third batch is aborted and done again. Prints the values that a consumer of committed records finds afterwards, as JSON.

    confluent_transactions.py BOOTSTRAP FROM TO COUNT
"""
import json
import sys
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition

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
producer.init_transactions(30)
copied, batch_number = 0, 0
while copied < count:
    batch = consumer.consume(10, timeout=10)
    if not batch:
        sys.exit('nothing to copy')
    producer.begin_transaction()
    for message in batch:
        if message.error():
            sys.exit(str(message.error()))
        producer.produce(target, value='copy of ' + message.value().decode())
    batch_number += 1
    if batch_number % 3 == 0:
        producer.abort_transaction(30)
        first = batch[0]
        consumer.seek(TopicPartition(first.topic(), first.partition(), first.offset()))
        continue
    offsets = [TopicPartition(m.topic(), m.partition(), m.offset() + 1) for m in batch]
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
    producer.commit_transaction(30)
    copied += len(batch)
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
