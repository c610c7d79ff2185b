import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startBroker } from '../harness/broker.ts'
import { javaTool } from '../harness/java-tools.ts'
import type { Broker } from '../harness/running-broker.ts'
import { createTopic } from '../harness/topics.ts'
import { allCodecs, type SentRecord } from './client.ts'
import { KafkaJsClient } from './kafkajs-client.ts'

/** Goal: after a clean stop every file of a partition is in Kafka's format, by the judgement of Kafka's own tool. */
describe("Kafka's dump tool", () => {
  let broker: Broker

  beforeEach(async () => {
    broker = await startBroker()
  })

  afterEach(() => broker.dispose())

  /** Paths of a partition's files that end with `suffix`, in order of their base offsets. */
  function filesOf(topic: string, partition: number, suffix: string): string[] {
    const name = `${topic}-${partition}`
    const folder = readdirSync(broker.directory, { recursive: true, withFileTypes: true }).find(
      (entry) => entry.isDirectory() && entry.name === name,
    )
    const path = join(folder?.parentPath ?? broker.directory, name)
    return readdirSync(path)
      .filter((file) => file.endsWith(suffix))
      .sort()
      .map((file) => join(path, file))
  }

  const dump = async (files: readonly string[], ...args: string[]) =>
    (await javaTool('dump-log', [...args, '--files', files.join(',')])).stdout

  it('reads segments, offset and time indexes and producer snapshots', async () => {
    // Small segments, small batches and an index entry for almost each, so that there are several of every kind.
    const configs = { 'segment.bytes': '1048576', 'index.interval.bytes': '1024' }
    const topic = await createTopic(broker.bootstrap, { configs })
    const count = 3000
    const load = ['--num-records', String(count), '--record-size', '1000', '--throughput', '-1']
    const settings = ['--command-property', 'acks=all', 'enable.idempotence=true', 'batch.size=4096']
    await javaTool('producer-perf', ['--bootstrap-server', broker.bootstrap, '--topic', topic, ...load, ...settings])
    await broker.stop()

    const segments = filesOf(topic, 0, '.log')
    expect(segments.length).toBeGreaterThan(2)
    const data = await dump(segments, '--deep-iteration')
    const offsets = [...data.matchAll(/^\| offset: (\d+)/gm)].map((match) => Number(match[1]))
    expect(offsets).toEqual(Array.from({ length: count }, (_, i) => i))
    expect(data).not.toMatch(/isvalid: false|Found invalid|mismatch/)
    // Nothing of the space that was taken ahead is left behind the last batch.
    expect(data).not.toMatch(/invalid bytes/i)

    const indexes = filesOf(topic, 0, '.index')
    expect(indexes).toHaveLength(segments.length)
    const entries = await dump(indexes)
    expect(entries.match(/^offset: \d+ position: \d+$/gm)?.length).toBeGreaterThan(100)
    expect(await dump(indexes, '--index-sanity-check')).toMatch(/passed sanity check/)
    // Checks each entry against the batch that it points at.
    expect(await dump(indexes, '--verify-index-only')).not.toMatch(/mismatch|Found/i)

    const timeIndexes = filesOf(topic, 0, '.timeindex')
    expect(timeIndexes).toHaveLength(segments.length)
    const times = await dump(timeIndexes)
    expect(times.match(/^timestamp: \d{13} offset: \d+$/gm)?.length).toBeGreaterThanOrEqual(segments.length)
    expect(times).not.toMatch(/Found timestamp mismatch|Found out of order/)

    const snapshots = filesOf(topic, 0, '.snapshot')
    expect(snapshots.length).toBeGreaterThan(0)
    const producers = await dump(snapshots.slice(-1))
    expect(producers).toMatch(/producerId: \d+ producerEpoch: 0 .*lastTimestamp: .*lastOffset: 2999/s)
  })

  it.each(allCodecs)('reads batches of codec %s with their keys, values and headers', async (codec) => {
    const topic = await createTopic(broker.bootstrap)
    const records: SentRecord[] = Array.from({ length: 20 }, (_, i) => ({
      key: Buffer.from(`key-${i}`),
      value: i === 7 ? null : Buffer.from(`value-${i}`),
      headers: [['h', Buffer.from(`header-${i}`)]],
      timestampMs: 1_700_000_000_000 + i,
    }))
    await new KafkaJsClient(broker.bootstrap).produce({ topic, partition: 0, codec, idempotent: false, records })
    await broker.stop()
    const data = await dump(filesOf(topic, 0, '.log'), '--print-data-log')
    expect(data).toContain(`compresscodec: ${codec}`)
    expect(data).toContain('isvalid: true')
    for (const [i, { value }] of records.entries()) {
      expect(data).toContain(`headerKeys: [h] key: key-${i}${value ? ` payload: value-${i}` : ''}\n`)
    }
  })

  it('reads the log of committed offsets', async () => {
    const topic = await createTopic(broker.bootstrap)
    const server = ['--bootstrap-server', broker.bootstrap, '--topic', topic]
    await javaTool('console-producer', server, { input: 'a\nb\n' })
    await javaTool('console-consumer', [...server, '--group', 'dumped', '--from-beginning', '--max-messages', '2'])
    await broker.stop()
    const partitions = Array.from({ length: 8 }, (_, partition) =>
      filesOf('__consumer_offsets', partition, '.log'),
    ).flat()
    const data = await dump(partitions, '--offsets-decoder')
    expect(data).toMatch(new RegExp(`"group":"dumped","topic":"${topic}","partition":0.*"offset":2`))
    expect(data).toMatch(/"protocolType":"consumer"/)
    expect(data).not.toContain('Error')
  })

  it('reads the records of consumer groups', async () => {
    const topic = await createTopic(broker.bootstrap)
    const server = ['--bootstrap-server', broker.bootstrap]
    await javaTool('console-producer', [...server, '--topic', topic], { input: 'a\nb\n' })
    const group = ['--group', 'dumped', '--command-property', 'group.protocol=consumer']
    const bounds = ['--from-beginning', '--max-messages', '2']
    await javaTool('console-consumer', [...server, '--topic', topic, ...group, ...bounds])
    await broker.stop()
    const partitions = Array.from({ length: 8 }, (_, partition) =>
      filesOf('__consumer_offsets', partition, '.log'),
    ).flat()
    const data = await dump(partitions, '--offsets-decoder')
    const types = [...data.matchAll(/key: \{"type":"(\d+)".*payload: \{/g)].map((match) => Number(match[1]))
    expect(new Set(types)).toEqual(new Set([1, 3, 5, 6, 7, 8]))
    expect(data).not.toContain('Error')
  })
})
