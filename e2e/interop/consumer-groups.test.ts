import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { javaTool } from '../harness/java-tools.ts'
import { places, requirePlace } from '../harness/places.ts'
import { createTopic, uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'
import { VerifiableConsumer } from '../harness/verifiable-consumer.ts'
import { ProgramClient } from './program-client.ts'

const bootstrap = inject('bootstrap')
const server = ['--bootstrap-server', bootstrap]

/** What Kafka's tool says of a group: its lines, without the heads. */
async function describeGroup(group: string, ...what: string[]): Promise<string[]> {
  const { stdout } = await javaTool('consumer-groups', [...server, '--describe', '--group', group, ...what])
  return stdout.split('\n').filter((line) => line.startsWith(group))
}

async function typeOf(group: string): Promise<string | undefined> {
  const { stdout } = await javaTool('consumer-groups', [...server, '--list', '--type'])
  return stdout
    .split('\n')
    .find((line) => line.startsWith(group))
    ?.split(/\s+/)[1]
}

describe('consumer groups (KIP-848)', () => {
  it("of Kafka's consumers share partitions, and one takes over when the other is stopped", async () => {
    const topic = await createTopic(bootstrap, { partitions: 4 })
    const group = uniqueName('modern')
    const first = new VerifiableConsumer(bootstrap, topic, group, 'consumer')
    const second = new VerifiableConsumer(bootstrap, topic, group, 'consumer')
    try {
      await until('each has two partitions', () => first.partitions.size === 2 && second.partitions.size === 2, 60_000)
      expect([...first.partitions, ...second.partitions].sort()).toEqual([0, 1, 2, 3])
      expect(await describeGroup(group, '--state')).toMatchObject([expect.stringContaining('Stable')])
      await second.stop()
      await until('one has all four', () => first.partitions.size === 4, 60_000)
      await javaTool('verifiable-producer', [...server, '--topic', topic, '--max-messages', '100'])
      await until('it got all records', () => first.recordCount === 100)
    } finally {
      await first.stop()
      await second.stop()
    }
    // What was committed by the last one of its epoch is there.
    const committed = (await describeGroup(group)).map((line) => Number(line.split(/\s+/)[3]))
    expect(committed.reduce((sum, offset) => sum + offset, 0)).toBe(100)
  })

  it('take members of the classic protocol over, and are classic groups again when only these are left', async () => {
    const topic = await createTopic(bootstrap, { partitions: 4 })
    const group = uniqueName('migrated')
    const old = new VerifiableConsumer(bootstrap, topic, group)
    let modern: VerifiableConsumer | null = null
    try {
      await until('the old one has all', () => old.partitions.size === 4, 60_000)
      expect(await typeOf(group)).toBe('Classic')
      modern = new VerifiableConsumer(bootstrap, topic, group, 'consumer')
      const newer = modern
      await until('each has two', () => old.partitions.size === 2 && newer.partitions.size === 2, 60_000)
      expect([...old.partitions, ...newer.partitions].sort()).toEqual([0, 1, 2, 3])
      expect(await typeOf(group)).toBe('Consumer')
      await newer.stop()
      await until('the old one has all again', () => old.partitions.size === 4, 60_000)
      expect(await typeOf(group)).toBe('Classic')
    } finally {
      await modern?.stop()
      await old.stop()
    }
  })

  it('of librdkafka read on from what was committed', async () => {
    const topic = await createTopic(bootstrap, { partitions: 2 })
    const group = uniqueName('librdkafka')
    const client = librdkafka()
    const send = (name: string) => {
      const records = [{ key: null, value: Buffer.from(name), headers: [], timestampMs: 1_700_000_000_000 }]
      return client.produce({ topic, partition: 0, codec: 'none', idempotent: false, records })
    }
    try {
      await send('one')
      const first = await client.join({ group, topic, protocol: 'consumer' })
      await until('it has the record', async () => (await first.received()).length === 1)
      expect(await first.partitions()).toEqual([0, 1])
      expect(await typeOf(group)).toBe('Consumer')
      await first.leave()
      await send('two')
      const second = await client.join({ group, topic, protocol: 'consumer' })
      const received = await until('it has the next record', async () => {
        const records = await second.received()
        return records.length > 0 ? records : null
      })
      expect(received.map(({ value }) => value?.toString())).toEqual(['two'])
      await second.leave()
    } finally {
      await client.close()
    }
  })

  it('of librdkafka find topics by a regular expression', async () => {
    const prefix = uniqueName('expression')
    const client = librdkafka()
    try {
      const member = await client.join({
        group: uniqueName('expressive'),
        topic: '',
        pattern: `^${prefix}-.*`,
        protocol: 'consumer',
      })
      await until('it is in the group', async () => (await member.partitions()).length === 0)
      const topic = `${prefix}-first`
      await javaTool('topics', [...server, '--create', '--topic', topic, '--partitions', '3'])
      await until('it has found the topic', async () => (await member.partitions()).length === 3, 60_000)
      await member.leave()
    } finally {
      await client.close()
    }
  })
})

function librdkafka(): ProgramClient {
  const program = join(import.meta.dirname, 'programs/confluent-javascript.cjs')
  return new ProgramClient(
    { command: requirePlace(places.confluentNode), args: [program, places.confluent] },
    bootstrap,
  )
}
