import { describe, expect, inject, it } from 'vitest'
import { javaTool } from '../harness/java-tools.ts'
import { createTopic, uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'
import { VerifiableConsumer } from '../harness/verifiable-consumer.ts'
import { allCodecs } from './client.ts'

const bootstrap = inject('bootstrap')
const server = ['--bootstrap-server', bootstrap]

/** One JSON object a line, as the verifiable tools print. */
const events = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))

describe("Kafka's console producer and consumer", () => {
  it.each(allCodecs)('pass on keys, headers, tombstones and order with codec %s', async (codec) => {
    const topic = await createTopic(bootstrap)
    const lines = [
      'h:1\tk1\tone',
      'h:2\tk2\tNULL',
      'h:3\tk3\tthree',
      ...Array.from({ length: 200 }, (_, i) => `h:x\tk\t${'v'.repeat(i + 1)}`),
    ]
    const reader = ['parse.key=true', 'parse.headers=true', 'null.marker=NULL'].flatMap((property) => [
      '--reader-property',
      property,
    ])
    await javaTool('console-producer', [...server, '--topic', topic, '--compression-codec', codec, ...reader], {
      input: `${lines.join('\n')}\n`,
    })
    const printed = [
      'print.key=true',
      'print.headers=true',
      'print.offset=true',
      'print.partition=true',
      'null.literal=NULL',
    ]
    const formatter = printed.flatMap((property) => ['--formatter-property', property])
    const bounds = ['--from-beginning', '--max-messages', String(lines.length)]
    const { stdout } = await javaTool('console-consumer', [...server, '--topic', topic, ...bounds, ...formatter])
    expect(stdout.trimEnd().split('\n')).toEqual(lines.map((line, i) => `Partition:0\tOffset:${i}\t${line}`))
  })

  it('read on in a group from what was committed', async () => {
    const topic = await createTopic(bootstrap)
    const group = uniqueName('console')
    await javaTool('console-producer', [...server, '--topic', topic], { input: 'a\nb\nc\nd\ne\n' })
    const read = async (count: number) => {
      const bounds = ['--from-beginning', '--group', group, '--max-messages', String(count)]
      return (await javaTool('console-consumer', [...server, '--topic', topic, ...bounds])).stdout.trim().split('\n')
    }
    expect(await read(2)).toEqual(['a', 'b'])
    expect(await read(3)).toEqual(['c', 'd', 'e'])
  })

  it('read one partition from an offset to its end', async () => {
    const topic = await createTopic(bootstrap)
    await javaTool('console-producer', [...server, '--topic', topic], { input: 'a\nb\nc\n' })
    const place = ['--partition', '0', '--offset', '1', '--max-messages', '2']
    const { stdout } = await javaTool('console-consumer', [...server, '--topic', topic, ...place])
    expect(stdout.trim().split('\n')).toEqual(['b', 'c'])
  })
})

describe("Kafka's verifiable producer and consumer", () => {
  it.each(['-1', '1', '0'])('lose, repeat and reorder nothing with acks %s', async (acks) => {
    const topic = await createTopic(bootstrap, { partitions: 2 })
    const count = ['--max-messages', '1000']
    const produced = events(
      (await javaTool('verifiable-producer', [...server, '--topic', topic, '--acks', acks, ...count])).stdout,
    )
    const sent = produced.filter(({ name }) => name === 'producer_send_success')
    expect(sent).toHaveLength(1000)
    expect(produced.filter(({ name }) => name === 'producer_send_error')).toEqual([])

    const group = ['--group-id', uniqueName('verifiable'), '--reset-policy', 'earliest', '--verbose']
    const { stdout } = await javaTool('verifiable-consumer', [...server, '--topic', topic, ...group, ...count])
    const consumed = events(stdout)
    const data = consumed.filter(({ name }) => name === 'record_data')
    expect(data.map(({ value }) => Number(value)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    )
    for (const partition of [0, 1]) {
      const offsets = data.filter((event) => event.partition === partition).map(({ offset }) => offset)
      expect(offsets).toEqual(offsets.map((_, i) => i))
    }
    expect(consumed.some(({ name, success }) => name === 'offsets_committed' && success === true)).toBe(true)
  })

  it('share partitions, and one takes over when the other is stopped', async () => {
    const topic = await createTopic(bootstrap, { partitions: 4 })
    const group = uniqueName('verifiable-pair')
    const first = new VerifiableConsumer(bootstrap, topic, group)
    const second = new VerifiableConsumer(bootstrap, topic, group)
    try {
      await until('each has two partitions', () => first.partitions.size === 2 && second.partitions.size === 2, 60_000)
      expect([...first.partitions, ...second.partitions].sort()).toEqual([0, 1, 2, 3])
      await second.stop()
      await until('one has all four', () => first.partitions.size === 4, 60_000)
      await javaTool('verifiable-producer', [...server, '--topic', topic, '--max-messages', '100'])
      await until('it got all records', () => first.recordCount === 100)
    } finally {
      await first.stop()
      await second.stop()
    }
  })
})

describe("Kafka's performance tools", () => {
  it('finish and count every record', async () => {
    const topic = await createTopic(bootstrap, { partitions: 2 })
    for (const codec of ['none', 'lz4', 'zstd']) {
      const load = ['--num-records', '20000', '--record-size', '200', '--throughput', '-1']
      const settings = ['--command-property', 'acks=all', `compression.type=${codec}`]
      const { stdout } = await javaTool('producer-perf', [...server, '--topic', topic, ...load, ...settings])
      expect(stdout).toMatch(/^20000 records sent, [\d.]+ records\/sec .* ms 99\.9th\.$/m)
    }
    const { stdout } = await javaTool('consumer-perf', [
      ...server,
      '--topic',
      topic,
      '--num-records',
      '60000',
      '--hide-header',
    ])
    const fields = stdout
      .trim()
      .split('\n')
      .at(-1)
      ?.split(',')
      .map((field) => field.trim())
    expect(Number(fields?.[4])).toBe(60_000)
  })

  it.each(['1', 'all'])('measure the way there and back with acks %s', async (acks) => {
    const topic = await createTopic(bootstrap)
    const load = ['--num-records', '200', '--producer-acks', acks, '--record-size', '100']
    const { stdout } = await javaTool('e2e-latency', [...server, '--topic', topic, ...load])
    expect(stdout).toMatch(/Avg latency: [\d.]+ ms/)
    expect(stdout).toMatch(/Percentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+/)
  })
})
