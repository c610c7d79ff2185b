import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import {
  ArgumentError,
  type ProducerOptions,
  type ProducerRecord,
  ProtocolError,
  type RecordMetadata,
  RecordTooLargeError,
} from '@millrace/client'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { jsonFormat } from '../consume/record-format.ts'
import { runFake } from '../testing/fake-io.ts'
import { fakeRecord } from '../testing/fake-record.ts'
import { splitLines } from './line-splitter.ts'
import { parseHeaders, parseRecord, type RecordFormat, resolveEscapes } from './record-parser.ts'

const STORAGE_ERROR = 56

async function* chunksOf(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const end = Math.min(bytes.length, start + sizes[turn % sizes.length]!)
    yield bytes.subarray(start, end)
    start = end
  }
}

async function linesOf(bytes: Buffer, sizes: readonly number[], maxBytes = 1000): Promise<string[]> {
  const lines: string[] = []
  for await (const line of splitLines(chunksOf(bytes, sizes), maxBytes)) lines.push(line.toString())
  return lines
}

const FORMAT: RecordFormat = {
  topic: 't',
  keySeparator: null,
  fixedKey: null,
  isJson: false,
  nullMarker: null,
  headers: [],
  partition: null,
  timestamp: null,
}

describe('lines', () => {
  test('they are the same however the input is cut', async () => {
    const line = fc.stringMatching(/^[a-z ]{0,20}$/)
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        async (lines, sizes) => {
          const text = lines.map((one) => `${one}\n`).join('')
          expect(await linesOf(Buffer.from(text), sizes)).toEqual(lines)
          expect(await linesOf(Buffer.from(text.replaceAll('\n', '\r\n')), sizes)).toEqual(lines)
        },
      ),
    )
  })

  test('the last one needs no line feed', async () => {
    expect(await linesOf(Buffer.from('a\nb'), [2])).toEqual(['a', 'b'])
  })

  test('one that never ends is an error before all of it is kept', async () => {
    await expect(linesOf(Buffer.alloc(5000, 'x'), [100], 1000)).rejects.toThrow(/longer than 1000 bytes/)
  })
})

describe('records from lines', () => {
  test('a key separator splits at its first place', () => {
    const format = { ...FORMAT, keySeparator: Buffer.from('::') }
    expect(parseRecord(Buffer.from('k::v::w'), format)).toMatchObject({
      key: Buffer.from('k'),
      value: Buffer.from('v::w'),
    })
    expect(() => parseRecord(Buffer.from('kv'), format)).toThrow(/no key separator "::"/)
  })

  test('a JSON record without a value is refused, since a tombstone must be asked for', () => {
    const format = { ...FORMAT, isJson: true }
    expect(() => parseRecord(Buffer.from('{"valu":"x"}'), format)).toThrow(/no "value"/)
    expect(parseRecord(Buffer.from('{"key":"k","value":null}'), format)).toMatchObject({ key: 'k', value: null })
  })

  test.each([
    ['{"value":"x","partition":"2"}', /"partition" is "2"/],
    ['{"value":"x","partition":-1}', /"partition" is -1/],
    ['{"value":"x","timestamp":"2026-11-21"}', /"timestamp" is "2026-11-21"/],
    ['{"value":"x","headers":["h"]}', /"headers" must be/],
    ['{"value":"x","headers":"h=1"}', /"headers" must be/],
    ['{"value":{"id":12345678901234567890}}', /the number 12345678901234567890 would lose digits/],
  ])('a JSON record is refused rather than changed: %s', (line, words) => {
    expect(() => parseRecord(Buffer.from(line), { ...FORMAT, isJson: true })).toThrow(words)
  })

  test('JSON that is no UTF-8 is refused, and long numbers that are exact or texts are not', () => {
    const format = { ...FORMAT, isJson: true }
    const broken = Buffer.concat([Buffer.from('{"value":"'), Buffer.from([0xff]), Buffer.from('"}')])
    expect(() => parseRecord(broken, format)).toThrow(/UTF-8/)
    const exact = '{"value":{"id":9007199254740991,"text":"12345678901234567890"}}'
    expect(parseRecord(Buffer.from(exact), format).value).toBe('{"id":9007199254740991,"text":"12345678901234567890"}')
  })

  test('a marker stands for null, in keys and values', () => {
    const format = { ...FORMAT, keySeparator: Buffer.from(':'), nullMarker: Buffer.from('NIL') }
    expect(parseRecord(Buffer.from('k:NIL'), format)).toMatchObject({ value: null })
    expect(parseRecord(Buffer.from('NIL:v'), format)).toMatchObject({ key: null, value: Buffer.from('v') })
  })

  test('JSON lines give every part, and values that are no text stay JSON', () => {
    const line = '{"key":"k","value":{"a":1},"headers":[["h","1"],["h",null]],"partition":2,"timestamp":5}'
    expect(parseRecord(Buffer.from(line), { ...FORMAT, isJson: true })).toEqual({
      topic: 't',
      key: 'k',
      value: '{"a":1}',
      headers: [
        ['h', '1'],
        ['h', null],
      ],
      partition: 2,
      timestamp: 5,
    })
    expect(parseRecord(Buffer.from('{"value":null}'), { ...FORMAT, isJson: true })).toMatchObject({ value: null })
    for (const bad of ['', '[]', '3', '{']) {
      expect(() => parseRecord(Buffer.from(bad), { ...FORMAT, isJson: true })).toThrow(/JSON/)
    }
  })

  test('bytes that are no text come back from the JSON that consume writes', () => {
    const bytes = Buffer.from([0xff, 0, 0xfe])
    const out: (string | Buffer)[] = []
    jsonFormat(fakeRecord({ key: bytes, value: bytes, headers: [['h', bytes]] }), out)
    const parsed = parseRecord(Buffer.from(out.join('').trimEnd()), { ...FORMAT, isJson: true })
    expect(parsed).toMatchObject({ key: bytes, value: bytes, headers: [['h', bytes]] })
    const bad = '{"valueBase64":"no base64!"}'
    expect(() => parseRecord(Buffer.from(bad), { ...FORMAT, isJson: true })).toThrow('valueBase64 is not base64')
  })

  test('escapes and headers are read as they are typed', () => {
    expect(resolveEscapes('a\\tb\\n\\0\\x1f\\\\')).toBe('a\tb\n\0\x1f\\')
    expect(parseHeaders(['a=b=c', 'd'])).toEqual([
      ['a', 'b=c'],
      ['d', ''],
    ])
  })
})

describe('millrace produce', () => {
  function collecting(posted: ProducerRecord[]) {
    return {
      partitionCount: () => Promise.resolve(1),
      post: (record: ProducerRecord) => {
        posted.push(record)
        return true
      },
      flush: () => Promise.resolve(),
    }
  }

  test('lines of standard input become records; nothing is printed into pipes', async () => {
    const posted: ProducerRecord[] = []
    const run = await runFake(['produce', 'orders', '-K', ':'], { stdin: 'a:1\nb:2\n', producer: collecting(posted) })
    expect(run).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
    expect(posted.map(({ topic, key, value }) => [topic, String(key), String(value)])).toEqual([
      ['orders', 'a', '1'],
      ['orders', 'b', '2'],
    ])
  })

  test('arguments are records', async () => {
    const posted: ProducerRecord[] = []
    await runFake(['produce', 'orders', 'x', 'y', '-k', 'k', '-p', '3', '-H', 'h=1'], { producer: collecting(posted) })
    expect(posted).toMatchObject([
      { value: Buffer.from('x'), key: 'k', partition: 3, headers: [['h', '1']] },
      { value: Buffer.from('y') },
    ])
  })

  test('a line that is no record is named, and may be passed over', async () => {
    const posted: ProducerRecord[] = []
    const input = { stdin: 'a:1\nbad\nc:3\n', producer: collecting(posted) }
    const failed = await runFake(['produce', 'orders', '-K', ':'], input)
    expect(failed.exitCode).toBe(ExitCode.ERROR)
    expect(failed.stderr).toContain('standard input, line 2: no key separator')
    const passed = await runFake(['produce', 'orders', '-K', ':', '--ignore-errors'], input)
    expect(passed.exitCode).toBe(ExitCode.OK)
    expect(posted).toHaveLength(3)
  })

  test('--report prints where each record went', async () => {
    let offset = 0n
    const producer = {
      ...collecting([]),
      send: ({ topic }: ProducerRecord) => Promise.resolve({ topic, partition: 1, offset: offset++, timestamp: 5 }),
    }
    const text = await runFake(['produce', 'orders', 'x', 'y', '--report'], { producer })
    expect(text.stdout).toBe('orders-1@0\norders-1@1\n')
    const json = await runFake(['produce', 'orders', 'x', '--report', '-o', 'json'], { producer })
    expect(JSON.parse(json.stdout)).toEqual({ topic: 'orders', partition: 1, offset: 2, timestamp: 5 })
  })

  test('a copied topic keeps keys, values and headers: produce reads what consume writes', async () => {
    const posted: ProducerRecord[] = []
    const line = '{"topic":"a","partition":0,"offset":7,"timestamp":9,"key":"k","value":"v","headers":[["h","1"]]}\n'
    await runFake(['produce', 'b', '--json'], { stdin: line, producer: collecting(posted) })
    expect(posted).toEqual([{ topic: 'b', partition: 0, timestamp: 9, key: 'k', value: 'v', headers: [['h', '1']] }])
  })

  test('no progress is drawn over records that are typed, but the end is told', async () => {
    const posted: ProducerRecord[] = []
    const producer = collecting(posted)
    const typed = await runFake(['produce', 'orders'], { stdin: 'a\n', isTty: true, isStdinTty: true, producer })
    expect(typed.stderr).toMatch(/^1 records \(2 B\) in /)
  })

  test('Ctrl-C ends a wait for a broker that does not answer', async () => {
    const ending = new AbortController()
    const run = await runFake(['produce', 'orders', 'x', 'y'], {
      signal: ending.signal,
      producer: {
        ...collecting([]),
        flush: () => {
          ending.abort()
          return new Promise<void>(() => undefined)
        },
      },
    })
    expect(run).toMatchObject({ exitCode: ExitCode.INTERRUPTED, stderr: '' })
    const atStart = await runFake(['produce', 'orders', 'x'], {
      signal: ending.signal,
      producer: { ...collecting([]), partitionCount: () => new Promise<number>(() => undefined) },
    })
    expect(atStart.exitCode).toBe(ExitCode.INTERRUPTED)
  })

  test('records that are under way at the end get some seconds, not all attempts, and the reason is told', async () => {
    const ending = new AbortController()
    let closeOptions: unknown = null
    let client: ProducerOptions = {} as ProducerOptions
    const run = await runFake(['produce', 'orders', 'x', 'y'], {
      signal: ending.signal,
      onClient: (options) => {
        client = options as ProducerOptions
      },
      producer: {
        ...collecting([]),
        flush: () => {
          client.onRetry!(new ProtocolError(STORAGE_ERROR, { topic: 'orders', partition: 0 }))
          ending.abort()
          return new Promise<void>(() => undefined)
        },
        close: (options) => {
          closeOptions = options
          client.onDeliveryError!(new Error('closed'), 'orders', 0, 2)
          return Promise.resolve()
        },
      },
    })
    expect(run.exitCode).toBe(ExitCode.INTERRUPTED)
    expect(closeOptions).toEqual({ timeoutMs: 2000 })
    expect(run.stderr).toContain('2 of 2 records were not delivered')
    expect(run.stderr).toContain('KAFKA_STORAGE_ERROR')
    expect(run.stderr).not.toContain('closed')
  })

  test('who waits long for an acknowledgement is told so once, with the last error', async () => {
    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    let client: ProducerOptions = {} as ProducerOptions
    const run = await runFake(['produce', 'orders', 'x'], {
      clock,
      timers,
      onClient: (options) => {
        client = options as ProducerOptions
      },
      producer: {
        ...collecting([]),
        flush: async () => {
          await Promise.resolve()
          client.onRetry!(new ProtocolError(STORAGE_ERROR, { topic: 'orders', partition: 0 }))
          timers.advance(20_000)
        },
      },
    })
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(run.stderr.match(/still waiting for acknowledgements/g)).toHaveLength(1)
    expect(run.stderr).toMatch(/still waiting for acknowledgements after 5.0 s: .*KAFKA_STORAGE_ERROR.*\n$/)
  })

  test('--report sends further records while acknowledgements are awaited, and reports in the order of the records', async () => {
    const waiting: (() => void)[] = []
    const producer = {
      ...collecting([]),
      send: ({ topic }: ProducerRecord) => {
        const offset = BigInt(waiting.length)
        return new Promise<RecordMetadata>((resolve) => {
          waiting.push(() => resolve({ topic, partition: 0, offset, timestamp: 5 }))
        })
      },
      flush: () => {
        for (const answer of waiting.reverse()) answer()
        return Promise.resolve()
      },
    }
    const run = await runFake(['produce', 'orders', 'x', 'y', 'z', '--report'], { producer })
    expect(run.stdout).toBe('orders-0@0\norders-0@1\norders-0@2\n')
  })

  test('a reader of the report that goes away ends the command without a complaint', async () => {
    let sentCount = 0
    const producer = {
      ...collecting([]),
      send: ({ topic }: ProducerRecord) =>
        Promise.resolve({ topic, partition: 0, offset: BigInt(sentCount++), timestamp: 5 }),
    }
    const run = await runFake(['produce', 'orders', 'x', 'y', 'z', '--report'], { producer, stdoutWritesTaken: 1 })
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stdout: 'orders-0@0\n', stderr: '' })
    expect(sentCount).toBe(2)
  })

  test.each([
    ['--compression', 'brotli'],
    ['--max-record', '0'],
    ['--batch-size', '2g'],
  ])('%s %s is wrong usage, said in words of the command line', async (option, value) => {
    const run = await runFake(['produce', 'orders', 'x', option, value], { producer: collecting([]) })
    expect(run.exitCode).toBe(ExitCode.USAGE)
    expect(run.stderr).toContain(`millrace: ${option} ${value}: must be`)
  })

  test('a directory is no file to read records from', async () => {
    const run = await runFake(['produce', 'orders', '-f', import.meta.dirname], { producer: collecting([]) })
    expect(run).toMatchObject({ exitCode: ExitCode.ERROR })
    expect(run.stderr).toBe(`millrace: cannot read ${import.meta.dirname}: it is a directory\n`)
  })

  test('failures speak of options of the command line, not of settings of the client', async () => {
    const tooLarge = {
      ...collecting([]),
      post: () => {
        throw new RecordTooLargeError(20, 10, 'maxRequestSize')
      },
    }
    const large = await runFake(['produce', 'orders', 'x'], { producer: tooLarge })
    expect(large.stderr).toContain('--max-record')
    expect(large.stderr).not.toContain('maxRequestSize')
    const elsewhere = {
      ...collecting([]),
      post: () => {
        throw new ArgumentError('partition', 'orders has partitions 0 to 3, not 9')
      },
    }
    const absent = await runFake(['produce', 'orders', 'x', '-p', '9'], { producer: elsewhere })
    expect(absent.stderr).toBe('millrace: orders has partitions 0 to 3, not 9\n')
  })
})
