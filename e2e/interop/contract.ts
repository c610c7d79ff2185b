import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createTopic, endOffsets, uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'
import type { Capabilities, GroupMember, InteropClient, ReceivedRecord, SentRecord } from './client.ts'

const startMs = 1_700_000_000_000

/** Records of every shape that the format knows: keys and values that are absent, empty, binary and large, and headers. */
function recordsOfAllShapes(count: number): SentRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const tombstone = i % 5 === 1
    const values = [
      Buffer.from(`value-${i}`),
      null,
      Buffer.from([255, 0, i, 10, 13]),
      Buffer.alloc(2000, `${i} `),
      Buffer.from('kůň €'),
    ]
    return {
      // A tombstone without a key would mean nothing, and some clients refuse it.
      key: i % 3 === 0 && !tombstone ? null : i % 3 === 2 ? Buffer.from([0, 255, i]) : Buffer.from(`key-${i}`),
      value: values[i % 5] ?? null,
      headers:
        i % 4 === 0
          ? []
          : ([
              ['number', Buffer.from(String(i))],
              ['binary', Buffer.from([0, 128, 255])],
            ] as const),
      timestampMs: startMs + i * 1000,
    }
  })
}

const withoutPosition = ({ key, value, headers, timestampMs }: ReceivedRecord): SentRecord => ({
  key,
  value,
  headers,
  timestampMs,
})

/** Numbered records, to be told apart after a trip through a group. */
const numbered = (from: number, count: number): SentRecord[] =>
  Array.from({ length: count }, (_, i) => ({
    key: null,
    value: Buffer.from(String(from + i)),
    headers: [],
    timestampMs: startMs + from + i,
  }))

const numbers = (records: readonly ReceivedRecord[]) => records.map(({ value }) => Number(value)).sort((a, b) => a - b)

/** Where the records of each number lie, for the message of a test that got others than it should: once more, or stored twice? */
const places = (records: readonly ReceivedRecord[]) =>
  records.map(({ value, partition, offset }) => `${value} at ${partition}:${offset}`).join(', ')

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/**
 * What every client must be able to do against the broker.
 */
export function interopContract(
  name: string,
  { codecs, idempotence }: Capabilities,
  open: (bootstrap: string) => Promise<InteropClient>,
): void {
  describe(name, () => {
    const bootstrap = inject('bootstrap')
    let client: InteropClient

    beforeAll(async () => {
      client = await open(bootstrap)
    })

    afterAll(() => client.close?.())

    it('sends and reads keys, headers and tombstones with every codec', async () => {
      const records = recordsOfAllShapes(60)
      const topic = await createTopic(bootstrap, { partitions: codecs.length })
      for (const [partition, codec] of codecs.entries()) {
        await client.produce({ topic, partition, codec, idempotent: false, records })
        const received = await client.fetch({ topic, partition, offset: 0, count: records.length })
        expect(received.map(withoutPosition), codec).toEqual(records)
        expect(
          received.map(({ offset }) => offset),
          codec,
        ).toEqual(range(0, records.length))
        expect(received.every((record) => record.partition === partition)).toBe(true)
      }
      expect(await endOffsets(bootstrap, topic)).toEqual(codecs.map(() => records.length))
    })

    it('reads from an offset in the middle of a compressed batch', async () => {
      const records = recordsOfAllShapes(100)
      const topic = await createTopic(bootstrap)
      await client.produce({ topic, partition: 0, codec: 'gzip', idempotent: false, records })
      const received = await client.fetch({ topic, partition: 0, offset: 63, count: 37 })
      expect(received.map(withoutPosition)).toEqual(records.slice(63))
      expect(received[0]?.offset).toBe(63)
    })

    it('finds offsets by time and reads on from there', async () => {
      const records = recordsOfAllShapes(50)
      const topic = await createTopic(bootstrap)
      await client.produce({ topic, partition: 0, codec: 'none', idempotent: false, records })
      const at = (timestampMs: number) => client.offsetForTime({ topic, partition: 0, timestampMs })
      expect(await at(startMs + 20_000)).toBe(20)
      expect(await at(startMs + 20_001)).toBe(21)
      expect(await at(0)).toBe(0)
      const received = await client.fetch({ topic, partition: 0, offset: await at(startMs + 20_000), count: 30 })
      expect(received.map(withoutPosition)).toEqual(records.slice(20))
    })

    it(`keeps order and count with ${idempotence ? 'an idempotent' : 'a plain'} producer`, async () => {
      const topic = await createTopic(bootstrap)
      const records = numbered(0, 2000)
      await client.produce({ topic, partition: 0, codec: 'none', idempotent: idempotence, records })
      const received = await client.fetch({ topic, partition: 0, offset: 0, count: records.length })
      expect(received.map(({ value }) => Number(value))).toEqual(range(0, 2000))
      expect(await endOffsets(bootstrap, topic)).toEqual([2000])
    })

    it('shares partitions in a group, rebalances when a member leaves and goes on from what was committed', async () => {
      const partitionCount = 4
      // The records are of long ago, and retention would take them from a test that takes longer than it waits.
      const topic = await createTopic(bootstrap, { partitions: partitionCount, configs: { 'retention.ms': '-1' } })
      const group = uniqueName('group')
      const send = async (from: number, count: number) => {
        for (let partition = 0; partition < partitionCount; partition++) {
          const records = numbered(from + partition * count, count)
          await client.produce({ topic, partition, codec: 'none', idempotent: false, records })
        }
      }
      const members: GroupMember[] = []
      const join = async () => {
        const member = await client.join({ group, topic })
        members.push(member)
        return member
      }
      const owns = (member: GroupMember, count: number) =>
        until(`a member owns ${count} partitions`, async () => (await member.partitions()).length === count)

      try {
        const first = await join()
        await owns(first, 4)
        const second = await join()
        await Promise.all([owns(first, 2), owns(second, 2)])
        expect([...(await first.partitions()), ...(await second.partitions())].sort()).toEqual([0, 1, 2, 3])

        await send(0, 10)
        const both = async () => [...(await first.received()), ...(await second.received())]
        await until('40 records came', async () => (await both()).length >= 40)
        expect(numbers(await both())).toEqual(range(0, 40))
        expect((await first.received()).length).toBe(20)

        await second.leave()
        members.splice(members.indexOf(second), 1)
        await owns(first, 4)
        await send(40, 10)
        await until('the member that stayed got all', async () => (await first.received()).length >= 60)
        const later = (await first.received()).slice(20)
        expect(numbers(later), places(await first.received())).toEqual(range(40, 80))

        await first.leave()
        members.splice(members.indexOf(first), 1)
        await send(80, 1)
        const third = await join()
        await until('the late member got the rest', async () => (await third.received()).length >= 4)
        expect(numbers(await third.received())).toEqual(range(80, 84))
      } finally {
        await Promise.all(members.map((member) => member.leave()))
      }
    })
  })
}
