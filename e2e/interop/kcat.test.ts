import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { describe, expect, inject, it } from 'vitest'
import { exitCode, exitInTime, run } from '../harness/run.ts'
import { createTopic, uniqueName } from '../harness/topics.ts'
import { until } from '../harness/until.ts'
import { allCodecs } from './client.ts'

const bootstrap = inject('bootstrap')

interface KcatRecord {
  topic: string
  partition: number
  offset: number
  ts: number
  key: string | null
  payload: string | null
  headers?: string[]
}

async function kcat(args: readonly string[], input?: string): Promise<string> {
  return (await run('kcat', ['-b', bootstrap, ...args], input === undefined ? {} : { input })).stdout
}

/** Reads a partition from `from` (an offset, `beginning`, `s@TIME` …) to its end. */
async function consume(topic: string, from = 'beginning', extra: readonly string[] = []): Promise<KcatRecord[]> {
  const text = await kcat(['-C', '-t', topic, '-o', from, '-e', '-q', '-J', ...extra])
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

describe('kcat', () => {
  it.each(allCodecs)('sends and reads keys, headers, tombstones and empty values with codec %s', async (codec) => {
    const topic = await createTopic(bootstrap)
    const settings = ['-z', codec, '-X', 'linger.ms=50', '-X', 'acks=all', '-H', 'origin=kcat', '-H', 'empty=']
    const many = Array.from({ length: 500 }, (_, i) => `many-${i}:${'x'.repeat(i)}y`)
    const lines = ['a:first', 'b:', 'c:third', ...many]
    await kcat(['-P', '-t', topic, '-K', ':', '-Z', ...settings], `${lines.join('\n')}\n`)
    const records = await consume(topic)
    expect(records.map(({ key, payload }) => `${key}:${payload ?? ''}`)).toEqual(lines)
    expect(records[1]?.payload).toBeNull()
    expect(records[2]?.headers).toEqual(['origin', 'kcat', 'empty', ''])
    expect(records.map(({ offset }) => offset)).toEqual(lines.map((_, i) => i))
  })

  it('lists the broker, topics and partitions', async () => {
    const topic = await createTopic(bootstrap, { partitions: 3 })
    const metadata = JSON.parse(await kcat(['-L', '-J', '-t', topic]))
    const brokers: { id: number; name: string }[] = metadata.brokers
    expect(brokers.map(({ name }) => name)).toContain(bootstrap)
    const ids = brokers.map(({ id }) => id).sort()
    expect(ids).toContain(metadata.controllerid)
    const [entry] = metadata.topics
    expect(entry.topic).toBe(topic)
    const numbers = (replicas: { id: number }[]) => replicas.map(({ id }) => id).sort()
    expect(entry.partitions).toHaveLength(3)
    for (const { leader, replicas, isrs } of entry.partitions) {
      expect(leader).toBe(replicas[0].id)
      expect([numbers(replicas), numbers(isrs)]).toEqual([ids, ids])
    }
  })

  it('creates a topic by writing to it', async () => {
    const topic = uniqueName('created-by-kcat')
    await kcat(['-P', '-t', topic, '-X', 'acks=all'], 'first\n')
    expect((await consume(topic)).map(({ payload }) => payload)).toEqual(['first'])
  })

  it('queries offsets by time and reads from a time and from the end', async () => {
    const topic = await createTopic(bootstrap)
    await kcat(['-P', '-t', topic], 'one\n')
    const [first] = await consume(topic)
    await until('the clock has moved on', () => Date.now() > (first?.ts ?? 0) + 5)
    await kcat(['-P', '-t', topic], 'two\nthree\n')
    const [, second] = await consume(topic)
    const query = async (time: number) => (await kcat(['-Q', '-t', `${topic}:0:${time}`])).trim()
    expect(await query(second?.ts ?? 0)).toBe(`${topic} [0] offset 1`)
    expect(await query(-2)).toBe(`${topic} [0] offset 0`)
    expect(await query(-1)).toBe(`${topic} [0] offset 3`)
    expect((await consume(topic, `s@${second?.ts}`)).map(({ payload }) => payload)).toEqual(['two', 'three'])
    expect((await consume(topic, '-1', ['-p', '0'])).map(({ payload }) => payload)).toEqual(['three'])
  })

  it('sends idempotently, and with acks of 0 and 1, for a reader of committed records', async () => {
    const topic = await createTopic(bootstrap)
    const lines = (name: string) => Array.from({ length: 300 }, (_, i) => `${name}${i}`)
    const settings = { idempotent: 'enable.idempotence=true', none: 'acks=0', leader: 'acks=1' }
    for (const [name, setting] of Object.entries(settings)) {
      await kcat(['-P', '-t', topic, '-X', setting], `${lines(name).join('\n')}\n`)
    }
    // Nobody acknowledged the middle ones, so they are waited for.
    const records = await until('all records are there', async () => {
      const found = await consume(topic, 'beginning', ['-X', 'isolation.level=read_committed'])
      return found.length >= 900 && found
    })
    const of = (name: string) => records.map(({ payload }) => payload).filter((text) => text?.startsWith(name))
    for (const name of Object.keys(settings)) expect(of(name)).toEqual(lines(name))
  })

  it('shares a topic in a balanced group and takes over when the other leaves', async () => {
    const topic = await createTopic(bootstrap, { partitions: 2 })
    const group = uniqueName('kcat-group')
    const first = new Member(group, topic)
    const second = new Member(group, topic)
    try {
      await until('both have a partition', () => first.partitionCount === 1 && second.partitionCount === 1)
      for (const partition of [0, 1]) await kcat(['-P', '-t', topic, '-p', String(partition)], `to-${partition}\n`)
      await until('both got theirs', () => first.lines.length === 1 && second.lines.length === 1)
      expect([...first.lines, ...second.lines].sort()).toEqual(['to-0', 'to-1'])
      await second.leave()
      await until('the other took over', () => first.partitionCount === 2)
      for (const partition of [0, 1]) await kcat(['-P', '-t', topic, '-p', String(partition)], `again-${partition}\n`)
      await until('it got both', () => first.lines.length === 3)
      expect(first.lines.slice(1).sort()).toEqual(['again-0', 'again-1'])
    } finally {
      await first.leave()
      await second.leave()
    }
  })
})

/** `kcat -G`: a member of a group whose assignment shows on standard error. */
class Member {
  readonly lines: string[] = []
  partitionCount = 0
  readonly #child: ChildProcess
  readonly #exit: Promise<number>

  constructor(group: string, topic: string) {
    const settings = [
      '-X',
      'heartbeat.interval.ms=300',
      '-X',
      'session.timeout.ms=10000',
      '-X',
      'auto.offset.reset=earliest',
    ]
    const child = spawn('kcat', ['-b', bootstrap, '-G', group, ...settings, '-u', topic], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#exit = exitCode(child)
    createInterface({ input: child.stdout }).on('line', (line) => this.lines.push(line))
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (line.includes('rebalanced'))
        this.partitionCount = line.includes('assigned') ? (line.match(/ \[\d+\]/g)?.length ?? 0) : 0
    })
  }

  async leave(): Promise<void> {
    this.#child.kill('SIGINT')
    await exitInTime(this.#child, this.#exit)
  }
}
