import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BatchBuilder, CodecId, sealBatch, setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dump-test-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function batchAt(baseOffset: number, values: readonly (string | Buffer)[], codec: CodecId = CodecId.NONE): Buffer {
  const builder = new BatchBuilder({ codec })
  for (const [slot, value] of values.entries())
    builder.append(1000 + baseOffset + slot, `k${slot}`, value, [{ key: 'h', value: null }])
  const batch = Buffer.from(builder.build())
  setBaseOffset(batch, 0, baseOffset)
  setPartitionLeaderEpoch(batch, 0, 4)
  return batch
}

function write(name: string, bytes: Buffer | string): string {
  const path = join(directory, name)
  writeFileSync(path, bytes)
  return path
}

function offsetEntry(relativeOffset: number, position: number): Buffer {
  const entry = Buffer.alloc(8)
  entry.writeInt32BE(relativeOffset, 0)
  entry.writeInt32BE(position, 4)
  return entry
}

function timeEntry(timestamp: number, relativeOffset: number): Buffer {
  const entry = Buffer.alloc(12)
  entry.writeBigInt64BE(BigInt(timestamp), 0)
  entry.writeInt32BE(relativeOffset, 8)
  return entry
}

const LOG = '00000000000000000100.log'
const FIRST = batchAt(100, ['a', 'b'])
const SECOND = batchAt(102, ['c', 'd', 'e'], CodecId.GZIP)

async function dumpJson(...args: string[]) {
  const run = await runFake(['dump', directory, '-o', 'json', ...args])
  const rows = run.stdout
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
  return { ...run, rows: rows.map((line) => JSON.parse(line)) }
}

describe('dumping segments', () => {
  test('batches are told with their header', async () => {
    write(LOG, Buffer.concat([FIRST, SECOND]))
    const { exitCode, rows } = await dumpJson()
    expect(exitCode).toBe(ExitCode.OK)
    expect(rows).toMatchObject([
      {
        kind: 'batch',
        position: 0,
        baseOffset: 100,
        lastOffset: 101,
        count: 2,
        codec: 'none',
        leaderEpoch: 4,
        producerId: -1,
      },
      {
        kind: 'batch',
        position: FIRST.length,
        baseOffset: 102,
        lastOffset: 104,
        count: 3,
        codec: 'gzip',
        maxTimestamp: 1104,
      },
      { kind: 'file', batches: 2, tail: 'clean', nextOffset: 105 },
    ])
  })

  test('records are expanded and shown when asked for, up to a number of lines', async () => {
    write(LOG, Buffer.concat([FIRST, SECOND]))
    const { rows } = await dumpJson('-r', '--max', '5')
    expect(rows.map(({ kind }) => kind)).toEqual(['batch', 'record', 'record', 'batch', 'record'])
    expect(rows[4]).toMatchObject({ offset: 102, timestamp: 1102, key: 'k0', value: 'c', headers: [['h', null]] })
  })

  test('zeros at the end are the part made ahead, an incomplete batch is a torn tail', async () => {
    write(LOG, Buffer.concat([FIRST, Buffer.alloc(5000)]))
    expect((await dumpJson('--summary', '--verify')).rows).toMatchObject([
      { tail: 'preallocated', endPosition: FIRST.length },
    ])
    write(LOG, Buffer.concat([FIRST, SECOND.subarray(0, 50)]))
    const torn = await dumpJson('--summary')
    expect(torn.rows).toMatchObject([{ tail: 'torn', endPosition: FIRST.length }])
    expect(torn.exitCode).toBe(ExitCode.PARTIAL)
  })

  test.each([[[]], [['-r']], [['--verify']], [['--summary']]])(
    'damage that only the checksum shows is found with %j, and its place named once',
    async (options) => {
      const bytes = Buffer.concat([FIRST, SECOND])
      bytes[FIRST.length - 2]! ^= 1 // the name of a header
      write(LOG, bytes)
      const { exitCode, stderr, rows } = await dumpJson(...options)
      expect(exitCode).toBe(ExitCode.PARTIAL)
      expect(stderr).toMatch(/^millrace: \S+00000000000000000100\.log, position 0: crc: the checksum differs\n$/)
      expect(rows.at(-1)).toMatchObject({ kind: 'file', batches: 2, corruptBatches: 1, nextOffset: 105 })
    },
  )

  test('a damaged batch and its records are marked, in JSON and in text, and sound ones are not', async () => {
    const bytes = Buffer.concat([FIRST, SECOND])
    bytes[FIRST.length - 2]! ^= 1
    write(LOG, bytes)
    const { rows } = await dumpJson('-r')
    const batches = rows.filter(({ kind }) => kind === 'batch')
    expect(batches).toMatchObject([{ isValid: false, problems: ['crc: the checksum differs'] }, { isValid: true }])
    expect(batches[1]).not.toHaveProperty('problems')
    const records = rows.filter(({ kind }) => kind === 'record')
    expect(records.map(({ offset, isValid }) => [offset, isValid])).toEqual([
      [100, false],
      [101, false],
      [102, undefined],
      [103, undefined],
      [104, undefined],
    ])
    const { stdout } = await runFake(['dump', directory, '-r'])
    expect(stdout).toMatch(/^ {2}CORRUPT batch position 0 .* \(crc: the checksum differs\)$/m)
    expect(stdout.match(/^ {4}CORRUPT record /gm)).toHaveLength(2)
    expect(stdout.match(/^ {2}batch /gm)).toHaveLength(1)
    expect(stdout).not.toContain('isValid')
  })

  test('a batch whose checksum is right and whose records are not is told where records are looked at', async () => {
    const bytes = Buffer.concat([FIRST, SECOND])
    bytes.writeInt32BE(7, 57) // the count of records
    sealBatch(bytes, 0)
    write(LOG, bytes)
    expect((await dumpJson()).exitCode).toBe(ExitCode.OK)
    for (const option of ['-r', '--verify']) {
      const { exitCode, stderr, rows } = await dumpJson(option)
      expect(exitCode).toBe(ExitCode.PARTIAL)
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
      expect(rows[0]).toMatchObject({ kind: 'batch', isValid: false, problems: [expect.stringMatching(/^count: /)] })
    }
  })

  test('--verify finds a hole: bytes behind zeros', async () => {
    const hole = Buffer.alloc(5000)
    write(LOG, Buffer.concat([FIRST, hole, SECOND]))
    expect((await dumpJson()).exitCode).toBe(ExitCode.OK)
    const { exitCode, stderr } = await dumpJson('--verify')
    expect(exitCode).toBe(ExitCode.PARTIAL)
    expect(stderr).toContain('bytes behind zeros')
  })

  test('Ctrl-C ends it with its own exit code', async () => {
    write(LOG, Buffer.concat([FIRST, SECOND]))
    const run = await runFake(['dump', directory, '--summary'], { signal: AbortSignal.abort() })
    expect(run).toMatchObject({ exitCode: ExitCode.INTERRUPTED, stdout: '' })
  })

  test('bytes that are no text come as base64, as from consume', async () => {
    write(LOG, batchAt(100, [Buffer.from([0xff, 0xfe])]))
    const { rows } = await dumpJson('-r')
    expect(rows[1]).toMatchObject({ kind: 'record', key: 'k0', valueBase64: '//4=', headers: [['h', null]] })
  })

  test('--verify finds offsets that go back', async () => {
    write(LOG, Buffer.concat([SECOND, FIRST]))
    const { exitCode, stderr } = await dumpJson('--summary', '--verify')
    expect(exitCode).toBe(ExitCode.PARTIAL)
    expect(stderr).toContain('base offset 100 is below the expected 105')
  })

  test('a length that makes no sense ends the walk with its place', async () => {
    const bytes = Buffer.concat([FIRST, SECOND])
    bytes.writeInt32BE(5, FIRST.length + 8)
    write(LOG, bytes)
    const { exitCode, stderr, rows } = await dumpJson('--summary')
    expect(exitCode).toBe(ExitCode.PARTIAL)
    expect(stderr).toContain(`${LOG}, position ${FIRST.length}: length: 5 is too short`)
    expect(stderr).not.toContain('batch at byte')
    expect(rows).toMatchObject([{ tail: 'damaged', batches: 1, endPosition: FIRST.length, nextOffset: 102 }])
  })

  test('a batch larger than the window is read whole', async () => {
    const large = batchAt(100, ['x'.repeat(6 * 1024 * 1024), 'y'])
    write(LOG, Buffer.concat([large, batchAt(102, ['z'])]))
    const { rows, exitCode } = await dumpJson('--verify')
    expect(exitCode).toBe(ExitCode.OK)
    expect(rows.map(({ baseOffset }) => baseOffset)).toEqual([100, 102, undefined])
  })

  test('text output keeps control characters away from the terminal', async () => {
    write(LOG, batchAt(100, ['\u001b[31mred', '\u009b31mred']))
    const run = await runFake(['dump', directory, '-r'])
    expect(run.stdout).toContain('value "\\u001b[31mred"')
    expect(run.stdout).toContain('value "\\u009b31mred"')
    for (const control of ['\u001b', '\u009b']) expect(run.stdout).not.toContain(control)
  })
})

describe('dumping other files', () => {
  test('index entries are told and checked against their segment', async () => {
    write(LOG, Buffer.concat([FIRST, SECOND]))
    write(
      '00000000000000000100.index',
      Buffer.concat([offsetEntry(1, 0), offsetEntry(4, FIRST.length), Buffer.alloc(16)]),
    )
    write('00000000000000000100.timeindex', Buffer.concat([timeEntry(1101, 1), timeEntry(1104, 4)]))
    const sound = await dumpJson('--verify')
    expect(sound.exitCode).toBe(ExitCode.OK)
    const entries = sound.rows.filter(({ kind }) => kind === 'entry')
    expect(entries).toEqual([
      { kind: 'entry', offset: 101, position: 0 },
      { kind: 'entry', offset: 104, position: FIRST.length },
      { kind: 'entry', timestamp: 1101, offset: 101 },
      { kind: 'entry', timestamp: 1104, offset: 104 },
    ])
  })

  test.each([
    ['00000000000000000100.index', offsetEntry(1, 7), 'names no batch'],
    ['00000000000000000100.index', Buffer.concat([offsetEntry(4, FIRST.length), offsetEntry(1, 0)]), 'does not ascend'],
    ['00000000000000000100.index', Buffer.concat([offsetEntry(1, 0), Buffer.alloc(3, 1)]), 'no whole entry'],
    ['00000000000000000100.timeindex', timeEntry(1000, 4), 'there is a record of 1104'],
  ])('%s with a wrong entry is found', async (name, bytes, text) => {
    write(LOG, Buffer.concat([FIRST, SECOND]))
    write(name, bytes)
    const { exitCode, stderr } = await dumpJson('--verify')
    expect(exitCode).toBe(ExitCode.PARTIAL)
    expect(stderr).toContain(text)
  })

  test('a damaged segment is told once, and its indexes say up to where they were checked', async () => {
    const bytes = Buffer.concat([FIRST, SECOND])
    bytes.writeInt32BE(5, FIRST.length + 8)
    write(LOG, bytes)
    write('00000000000000000100.index', Buffer.concat([offsetEntry(1, 0), offsetEntry(4, FIRST.length)]))
    const { exitCode, stderr } = await dumpJson('--verify')
    expect(exitCode).toBe(ExitCode.PARTIAL)
    expect(stderr.match(/too short/g)).toHaveLength(1)
    expect(stderr).toContain(`its segment is damaged at position ${FIRST.length}`)
    expect(stderr).not.toContain('names no batch')
  })

  test('totals are told only of what was looked at whole', async () => {
    write('00000000000000000100.index', Buffer.concat([offsetEntry(1, 0), offsetEntry(4, 80)]))
    const { rows } = await dumpJson('--max', '1')
    expect(rows).toMatchObject([{ kind: 'entry', offset: 101 }])
  })

  test('text files are shown as they are', async () => {
    write('leader-epoch-checkpoint', '0\n1\n0 100\n')
    const run = await runFake(['dump', directory])
    expect(run.stdout).toContain('  0\n  1\n  0 100\n')
  })

  test('a file that is none of a log is refused', async () => {
    const run = await runFake(['dump', write('notes.txt', 'x')])
    expect(run.exitCode).toBe(ExitCode.ERROR)
    expect(run.stderr).toContain('not a file of a log')
  })

  test('a path that is not there is named', async () => {
    const run = await runFake(['dump', join(directory, 'none')])
    expect(run.exitCode).toBe(ExitCode.ERROR)
    expect(run.stderr).toContain('ENOENT')
  })
})
