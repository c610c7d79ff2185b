import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startBroker } from '../harness/broker.ts'
import { javaTool } from '../harness/java-tools.ts'
import type { Broker } from '../harness/running-broker.ts'
import { createTopic } from '../harness/topics.ts'
import type { SentRecord } from './client.ts'
import { KafkaJsClient } from './kafkajs-client.ts'

const KEYS = 50
const RECORDS = 4_000
const LIMIT_MS = 60_000

/** Goal: what compaction leaves is read by Kafka's consumer and judged by Kafka's own tool, and is written by the built broker's thread. */
describe('a compacted topic', () => {
  let broker: Broker

  beforeEach(async () => {
    broker = await startBroker({ 'log.cleaner.backoff.ms': '200' })
  })

  afterEach(() => broker.dispose())

  function filesOf(topic: string, suffix: string): string[] {
    const folder = readdirSync(broker.directory, { recursive: true, withFileTypes: true }).find(
      (entry) => entry.isDirectory() && entry.name === `${topic}-0`,
    )
    const path = join(folder?.parentPath ?? broker.directory, `${topic}-0`)
    return readdirSync(path)
      .filter((file) => file.endsWith(suffix))
      .sort()
      .map((file) => join(path, file))
  }

  const sizeOf = (topic: string) => filesOf(topic, '.log').reduce((sum, path) => sum + statSync(path).size, 0)

  it('holds the newest record of each key, for consumers and tools', async () => {
    const configs = { 'cleanup.policy': 'compact', 'segment.bytes': '1048576', 'min.cleanable.dirty.ratio': '0.01' }
    const topic = await createTopic(broker.bootstrap, { configs })
    const records: SentRecord[] = Array.from({ length: RECORDS }, (_, i) => ({
      key: Buffer.from(`key-${i % KEYS}`),
      value: Buffer.from(`${i}`.padEnd(1000, '.')),
      headers: [],
      timestampMs: 1_700_000_000_000 + i,
    }))
    const client = new KafkaJsClient(broker.bootstrap)
    await client.produce({ topic, partition: 0, codec: 'lz4', idempotent: true, records: records.slice(0, 2_000) })
    await client.produce({ topic, partition: 0, codec: 'none', idempotent: true, records: records.slice(2_000) })
    for (let waitedMs = 0; sizeOf(topic) > 1_500_000; waitedMs += 100) {
      expect(waitedMs).toBeLessThan(LIMIT_MS)
      await delay(100)
    }
    const server = ['--bootstrap-server', broker.bootstrap, '--topic', topic]
    const limit = ['--from-beginning', '--timeout-ms', '8000', '--formatter-property', 'print.key=true']
    const { stdout } = await javaTool('console-consumer', [...server, ...limit], { allowExit: [1] })
    const newest = new Map<string, number>()
    for (const line of stdout.trim().split('\n')) {
      const [key, value] = line.split('\t')
      newest.set(key!, Number.parseInt(value!, 10))
    }
    expect(newest.size).toBe(KEYS)
    for (const [key, value] of newest) expect(`key-${value % KEYS} ${value >= RECORDS - KEYS}`).toBe(`${key} true`)

    await broker.stop()
    const dump = async (suffix: string, ...args: string[]) =>
      (await javaTool('dump-log', [...args, '--files', filesOf(topic, suffix).join(',')])).stdout
    const data = await dump('.log', '--deep-iteration')
    const offsets = [...data.matchAll(/^\| offset: (\d+)/gm)].map((match) => Number(match[1]))
    expect(offsets.length).toBeLessThan(RECORDS / 2)
    expect(offsets).toEqual(offsets.toSorted((left, right) => left - right))
    expect(data).not.toMatch(/isvalid: false|Found invalid|mismatch|invalid bytes/i)
    expect(await dump('.index', '--verify-index-only')).not.toMatch(/mismatch|Found/i)
    expect(await dump('.timeindex')).not.toMatch(/Found timestamp mismatch|Found out of order/)
  })
})
