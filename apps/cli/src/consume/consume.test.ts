import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { type Consumer, type ConsumerBatch, type TopicPartition, UnreadableRecordError } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'
import { type FakeRecordFields, fakeRecord } from '../testing/fake-record.ts'
import { parseEnd, parseStart } from './consume-range.ts'
import { compileFilter } from './record-filter.ts'
import { compileFormat, jsonFormat, type RecordFormatter } from './record-format.ts'

const NOW_MS = Date.UTC(2026, 10, 21, 12)
const RECORD: FakeRecordFields = {
  topic: 'orders',
  partition: 3,
  offset: 42n,
  timestamp: 1000,
  key: 'k',
  value: 'hello',
  headers: [
    ['a', '1'],
    ['b', null],
  ],
}

function format(formatter: RecordFormatter, fields: FakeRecordFields): string {
  const out: (string | Buffer)[] = []
  formatter(fakeRecord(fields), out)
  return Buffer.concat(out.map((piece) => Buffer.from(piece))).toString('latin1')
}

describe('formats', () => {
  test('every directive is filled in', () => {
    const text = '%t[%p]@%o %T %D k=%k/%K v=%s/%S %h 100%%\\n'
    expect(format(compileFormat(text), RECORD)).toBe(
      'orders[3]@42 1000 1970-01-01T00:00:01.000Z k=k/1 v=hello/5 a=1,b=NULL 100%\n',
    )
    expect(format(compileFormat('%R%s'), RECORD)).toBe('\0\0\0\x05hello')
    expect(format(compileFormat('[%k|%K|%s|%S]'), { key: null, value: null })).toBe('[|-1||-1]')
  })

  test('an unknown directive is refused with the list of those there are', () => {
    expect(() => compileFormat('%x')).toThrow(expect.objectContaining({ exitCode: ExitCode.USAGE }))
  })

  test('JSON has one line per record and base64 for what is no text', () => {
    expect(JSON.parse(format(jsonFormat, RECORD))).toEqual({
      topic: 'orders',
      partition: 3,
      offset: 42,
      timestamp: 1000,
      key: 'k',
      value: 'hello',
      headers: [
        ['a', '1'],
        ['b', null],
      ],
    })
    const binary = JSON.parse(format(jsonFormat, { key: null, value: Buffer.from([0xff, 0xfe]) }))
    expect(binary).toMatchObject({ key: null, valueBase64: '//4=' })
  })
})

describe('filters', () => {
  const passes = (options: object, fields: FakeRecordFields = RECORD) =>
    compileFilter({ header: [], ...options })!(fakeRecord(fields))

  test('keys, values and headers are looked at', () => {
    expect(passes({ key: 'k' })).toBe(true)
    expect(passes({ key: 'K' })).toBe(false)
    expect(passes({ keyRegex: '^k$' })).toBe(true)
    expect(passes({ grep: 'ell' })).toBe(true)
    expect(passes({ grep: 'ELL' })).toBe(false)
    expect(passes({ grep: '/ELL/i' })).toBe(true)
    expect(passes({ header: ['a'] })).toBe(true)
    expect(passes({ header: ['a=^1$'] })).toBe(true)
    expect(passes({ header: ['a=2'] })).toBe(false)
    expect(passes({ header: ['c'] })).toBe(false)
    expect(passes({ grep: '.' }, { value: null })).toBe(false)
  })

  test('all conditions together, and inverted', () => {
    expect(passes({ key: 'k', grep: 'nothing' })).toBe(false)
    expect(passes({ key: 'k', grep: 'nothing', invert: true })).toBe(true)
    expect(compileFilter({ header: [] })).toBeNull()
  })

  test('a pattern with a global flag matches every record alike', () => {
    const filter = compileFilter({ header: [], grep: '/l/g' })!
    expect([1, 2, 3].map(() => filter(fakeRecord(RECORD)))).toEqual([true, true, true])
  })

  test('a bad pattern is wrong usage', () => {
    expect(() => compileFilter({ header: [], grep: '(' })).toThrow(
      expect.objectContaining({ exitCode: ExitCode.USAGE }),
    )
  })
})

describe('places', () => {
  test('a beginning is a word, an offset, a distance from the end or a time', () => {
    expect(parseStart('beginning', NOW_MS)).toBe('earliest')
    expect(parseStart('end', NOW_MS)).toBe('latest')
    expect(parseStart('120', NOW_MS)).toEqual({ offset: 120n })
    expect(parseStart('-5', NOW_MS)).toEqual({ beforeEnd: 5n })
    expect(parseStart('-5m', NOW_MS)).toEqual({ timestamp: NOW_MS - 300_000 })
    expect(parseStart('1795257624822', NOW_MS)).toEqual({ timestamp: 1_795_257_624_822 })
    expect(parseEnd('end', NOW_MS)).toBe('latest')
    expect(() => parseStart('somewhere', NOW_MS)).toThrow(expect.objectContaining({ exitCode: ExitCode.USAGE }))
    expect(() => parseEnd('-5', NOW_MS)).toThrow(expect.objectContaining({ exitCode: ExitCode.USAGE }))
  })
})

/** A consumer over logs in memory: partition number to the texts in it, ten milliseconds apart. */
function consumerOver(logs: readonly (readonly string[])[]): Partial<Consumer> {
  let assigned: { partition: number; next: number }[] = []
  const recordAt = (partition: number, offset: number) =>
    fakeRecord({
      partition,
      offset: BigInt(offset),
      timestamp: offset * 10 + partition,
      value: logs[partition]![offset]!,
    })
  return {
    partitionsOf: () => Promise.resolve([...logs.keys()]),
    findOffsets: (places: readonly TopicPartition[], spec) =>
      Promise.resolve(
        places.map(({ topic, partition }) => {
          const end = logs[partition]!.length
          const byTime = typeof spec === 'object' ? Math.ceil((spec.timestamp - partition) / 10) : 0
          const offset = spec === 'latest' ? end : spec === 'earliest' ? 0 : byTime < end ? byTime : -1
          return { topic, partition, offset: BigInt(offset), timestamp: -1 }
        }),
      ),
    assign: (places) => {
      assigned = places.map(({ partition, start }) => ({ partition, next: Number(start) }))
    },
    pause: (places) => {
      assigned = assigned.filter(({ partition }) => !places.some((place) => place.partition === partition))
    },
    position: ({ partition }) =>
      Promise.resolve(BigInt(assigned.find((one) => one.partition === partition)?.next ?? 0)),
    poll: () => {
      const one = assigned.find(({ partition, next }) => next < logs[partition]!.length)
      if (one === undefined) return Promise.resolve([])
      const offsets = [one.next, one.next + 1].filter((offset) => offset < logs[one.partition]!.length)
      one.next += offsets.length
      const records = offsets.map((offset) => recordAt(one.partition, offset))
      const batch = { topic: 't', partition: one.partition, records, nextOffset: BigInt(one.next) }
      return Promise.resolve([batch as unknown as ConsumerBatch])
    },
  }
}

describe('millrace consume', () => {
  const logs = [
    ['a0', 'a1', 'a2', 'a3'],
    ['b0', 'b1'],
  ]
  const lines = (text: string) => text.trimEnd().split('\n')

  test('-e reads what there is and ends', async () => {
    const run = await runFake(['consume', 't', '--from', 'beginning', '-e'], { consumer: consumerOver(logs) })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(lines(run.stdout).sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'b0', 'b1'])
  })

  test('an empty topic ends at once', async () => {
    const run = await runFake(['consume', 't', '--from', 'beginning', '-e'], { consumer: consumerOver([[], []]) })
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stdout: '' })
  })

  test('--last takes the newest of all partitions together, in order of time', async () => {
    const run = await runFake(['consume', 't', '--last', '3', '-e'], { consumer: consumerOver(logs) })
    expect(lines(run.stdout)).toEqual(['b1', 'a2', 'a3'])
  })

  test('ranges by offset and by time leave out their end', async () => {
    const byOffset = await runFake(['consume', 't', '-p', '0', '--from', '1', '--until', '3'], {
      consumer: consumerOver(logs),
    })
    expect(lines(byOffset.stdout)).toEqual(['a1', 'a2'])
  })

  test('a plain tail begins at the end, and Ctrl-C is how it ends', async () => {
    const ending = new AbortController()
    const consumer = consumerOver(logs)
    const poll = () => {
      ending.abort()
      return consumer.poll!()
    }
    const run = await runFake(['consume', 't'], { consumer: { ...consumer, poll }, signal: ending.signal })
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stdout: '', stderr: '' })
    // When retention overtakes the reader, what is left must not be passed over.
    expect(run.clientOptions).toMatchObject([{ autoOffsetReset: 'earliest' }])
  })

  test.each([[['-e']], [['--until', '4']], [['-n', '100']]])('Ctrl-C breaks %j off', async (options) => {
    const ending = new AbortController()
    const consumer = consumerOver(logs)
    const poll = () => {
      ending.abort()
      return consumer.poll!()
    }
    const run = await runFake(['consume', 't', '--from', 'beginning', ...options], {
      consumer: { ...consumer, poll },
      signal: ending.signal,
    })
    expect(run.exitCode).toBe(ExitCode.INTERRUPTED)
    expect(lines(run.stdout)).toEqual(['a0', 'a1'])
  })

  test('who waits long for offsets, since a partition has no leader, is told so once', async () => {
    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    const consumer = consumerOver(logs)
    const findOffsets: Consumer['findOffsets'] = async (...question) => {
      await Promise.resolve()
      timers.advance(20_000)
      return consumer.findOffsets!(...question)
    }
    const run = await runFake(['consume', 't', '--from', 'beginning', '-e'], {
      clock,
      timers,
      consumer: { ...consumer, findOffsets },
    })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stderr).toBe('millrace: still waiting for the offsets to read from after 5.0 s\n')
    expect(lines(run.stdout)).toHaveLength(6)
  })

  test('a reader that goes away ends the command without a complaint', async () => {
    const run = await runFake(['consume', 't', '--from', 'beginning', '-e'], {
      consumer: consumerOver(logs),
      stdoutWritesTaken: 1,
    })
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stderr: '' })
    expect(lines(run.stdout)).toEqual(['a0', 'a1'])
  })

  test('a topic that is named twice is read once', async () => {
    const run = await runFake(['consume', 't', 't', '--last', '9', '-e'], { consumer: consumerOver(logs) })
    expect(lines(run.stdout)).toHaveLength(6)
  })

  test('-n ends after so many that pass the filter', async () => {
    const run = await runFake(['consume', 't', '--from', 'beginning', '-n', '2', '--grep', '[02]$'], {
      consumer: consumerOver(logs),
    })
    expect(lines(run.stdout)).toEqual(['a0', 'a2'])
  })

  test.each([
    [['--last', '3', '--from', 'end']],
    [['--group', 'g', '--until', 'end']],
    [['--last', '3', '--until', '5']],
    [['--group', 'g', '--from', '17']],
    [['--exit', '--until', '5']],
    [['--json', '--keys']],
    [['--count', '0']],
  ])('%j is wrong usage', async (options) => {
    const run = await runFake(['consume', 't', ...options], { consumer: consumerOver(logs) })
    expect(run.exitCode).toBe(ExitCode.USAGE)
    expect(run.stderr).toMatch(/^millrace: /)
  })

  test('a record that cannot be read is told with its place and how to go on, after what came before it', async () => {
    const consumer = consumerOver(logs)
    let pollCount = 0
    const poll = () =>
      pollCount++ === 0 ? consumer.poll!() : Promise.reject(new UnreadableRecordError('t', 0, 2n, new Error('crc')))
    const run = await runFake(['consume', 't', '--from', 'beginning', '-e'], { consumer: { ...consumer, poll } })
    expect(run).toMatchObject({ exitCode: ExitCode.ERROR, stdout: 'a0\na1\n' })
    expect(run.stderr).toMatch(
      /^millrace: t-0: cannot read at offset 2: crc\n .*millrace dump .*-p 0 --from OFFSET, above 2/,
    )
  })

  test('a partition that does not exist is an error that says which there are', async () => {
    const run = await runFake(['consume', 't', '-p', '7'], { consumer: consumerOver(logs) })
    expect(run.exitCode).toBe(ExitCode.ERROR)
    expect(run.stderr).toContain('t has partitions 0 to 1, not 7')
  })
})
