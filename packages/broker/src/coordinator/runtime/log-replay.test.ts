import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import {
  BatchBuilder,
  buildEndTxnMarker,
  CodecId,
  ControlRecordType,
  MalformedMessageError,
  sealBatch,
  UnsupportedVersionError,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { LogDamageError } from '../coordinator-log.ts'
import { FakeCoordinatorLog } from '../testing/fake-coordinator-log.ts'
import { RecordingLogger } from '../testing/recording-logger.ts'
import { replayLog } from './log-replay.ts'
import { Timeline } from './timeline.ts'

/** Goal: what a log holds that its coordinator cannot read costs that and no more; what it has lost is not passed over in silence. */

const codec = {
  encode: (key: string) => ({ key: Buffer.from(key), value: null }),
  decode: (key: Buffer): string => {
    if (key.toString() === 'garbage') throw new MalformedMessageError('no such record')
    if (key.toString() === 'newer') throw new UnsupportedVersionError('Value', 99)
    if (key.toString() === 'bug') throw new TypeError('a bug')
    return key.toString()
  },
}

function batchOf(...keys: (string | null)[]): Buffer {
  const builder = new BatchBuilder()
  for (const key of keys) builder.append(0, key === null ? null : Buffer.from(key), Buffer.from('v'))
  return Buffer.from(builder.build())
}

/** Gives changed bytes the checksum that they would have had. */
function resealed(batch: Buffer, change: (batch: Buffer) => void): Buffer {
  change(batch)
  sealBatch(batch, 0)
  return batch
}

function logOf(...batches: Buffer[]): FakeCoordinatorLog {
  const log = new FakeCoordinatorLog(3)
  for (const batch of batches) log.append(batch)
  log.commit()
  return log
}

async function replay(log: FakeCoordinatorLog) {
  const applied: string[] = []
  const clock = new SimulatedClock()
  const logger = new RecordingLogger()
  const machine = {
    apply: (key: string, { offset }: { offset: number }) => applied.push(`${offset} ${key}`),
    endTransaction: (producerId: number, committed: boolean) => applied.push(`${producerId} ${committed}`),
  }
  const timers = new SimulatedTimers(clock)
  const target = { machine, codec, timeline: new Timeline(), clock, timers, logger }
  const failure = await replayLog(log, target, () => true).then(
    () => null,
    (error: unknown) => String(error),
  )
  return { applied, failure, lines: logger.lines }
}

const skipped = 'coordinator skipped records that it cannot read'
const lost = 'coordinator goes on without what its log has lost'

describe('records that cannot be read under a right checksum', () => {
  test('are skipped one by one, and told in one line', async () => {
    const log = logOf(batchOf('a', 'garbage', null, 'b'), batchOf('newer'), batchOf('c'))
    const { applied, failure, lines } = await replay(log)
    expect(failure).toBeNull()
    expect(applied).toEqual(['0 a', '3 b', '5 c'])
    expect(lines).toEqual([
      {
        level: 'warn',
        message: skipped,
        fields: {
          topic: 'internal',
          partition: 3,
          count: 3,
          firstOffset: 1,
          lastOffset: 4,
          firstReason: 'no such record',
        },
      },
    ])
  })

  test('cost the rest of their batch where nobody can tell where the next one begins', async () => {
    const broken = resealed(batchOf('b', 'lost', 'lost too'), (batch) => {
      // Behind the header lies the first record's length, twice as large as it is; behind that record the second one's.
      batch[61 + 1 + batch[61]! / 2] = 0x7f
    })
    const { applied, failure, lines } = await replay(logOf(batchOf('a'), broken, batchOf('c')))
    expect(failure).toBeNull()
    expect(applied).toEqual(['0 a', '1 b', '4 c'])
    expect(lines).toMatchObject([{ message: skipped, fields: { count: 2, firstOffset: 2, lastOffset: 3 } }])
  })

  test('cost a batch whose stream is none', async () => {
    const builder = new BatchBuilder({ codec: CodecId.GZIP })
    builder.append(0, Buffer.from('a'), Buffer.from('v'))
    const broken = resealed(Buffer.from(builder.build()), (batch) => batch.fill(0xff, 61))
    const { applied, failure, lines } = await replay(logOf(broken, batchOf('b')))
    expect([failure, applied]).toEqual([null, ['1 b']])
    expect(lines).toMatchObject([{ message: skipped, fields: { count: 1, firstOffset: 0, lastOffset: 0 } }])
  })

  test('do not hide a marker’s end of a transaction, and a marker without a type is one of them', async () => {
    const marker = (producerId: number): Buffer =>
      Buffer.from(
        buildEndTxnMarker({
          type: ControlRecordType.COMMIT,
          coordinatorEpoch: 0,
          producerId,
          producerEpoch: 0,
          timestamp: 0,
        }),
      )
    // The version of the key, behind length, attributes, deltas and the key's length: -1 is none.
    const broken = resealed(marker(7), (batch) => batch.writeInt16BE(-1, 61 + 5))
    const { applied, failure, lines } = await replay(logOf(broken, marker(8)))
    expect([failure, applied]).toEqual([null, ['8 true']])
    expect(lines).toMatchObject([{ message: skipped, fields: { count: 1, firstOffset: 0, lastOffset: 0 } }])
  })

  test('are told from bugs of ours, which end the load', async () => {
    const { failure } = await replay(logOf(batchOf('a', 'bug')))
    expect(failure).toContain('cannot be replayed')
  })
})

describe('a batch that is not as it was written', () => {
  const damages: [string, (batch: Buffer) => void][] = [
    ['by its checksum', (batch) => batch.writeUInt8(batch[70]! ^ 1, 70)],
    ['by its format, older', (batch) => batch.writeUInt8(1, 16)],
    ['by its format, unknown', (batch) => batch.writeUInt8(9, 16)],
    ['by its length, too short', (batch) => batch.writeInt32BE(3, 8)],
  ]

  test.each(damages)('%s, ends the load with what to do', async (_how, damage) => {
    const log = logOf(batchOf('a'), batchOf('b', 'c'), batchOf('d'))
    damage(log.batches[1]!)
    const { failure, lines } = await replay(log)
    expect(failure).toContain('internal-3: records are lost, from offset 1 on')
    expect(failure).toContain('unclean.leader.election.enable=true for internal')
    expect(lines).toEqual([])
  })

  test.each(damages)('%s, is left out where loss is accepted', async (_how, damage) => {
    const log = logOf(batchOf('a'), batchOf('b', 'c'), batchOf('d'), batchOf('e'))
    log.acceptsLoss = true
    log.batchesPerChunk = 2
    const isOf = (offset: number) => (line: string) => Number(line.split(' ')[0]) >= offset
    damage(log.batches[1]!)
    const { applied, failure, lines } = await replay(log)
    expect(failure).toBeNull()
    expect(applied[0]).toBe('0 a')
    expect(applied.filter(isOf(1))).toEqual(['3 d', '4 e'])
    expect(lines).toMatchObject([{ level: 'error', message: lost, fields: { count: 1, firstOffset: 1 } }])
  })

  test('at the end of the log is left out likewise', async () => {
    const log = logOf(batchOf('a'), batchOf('b', 'c'))
    log.acceptsLoss = true
    log.batches[1]![70]! ^= 1
    const { applied, failure } = await replay(log)
    expect([failure, applied]).toEqual([null, ['0 a']])
  })
})

describe('a range that the disk lost', () => {
  function damagedLog(): FakeCoordinatorLog {
    const log = logOf(batchOf('a'), batchOf('b', 'c'), batchOf('d'))
    const { read } = log
    log.read = async function* (fromOffset, toOffset) {
      if (fromOffset >= 3) {
        yield* read.call(log, fromOffset, toOffset)
        return
      }
      yield log.batches[0]!
      throw new LogDamageError('unreadable', 1, 3)
    }
    return log
  }

  test('ends the load', async () => {
    const { failure } = await replay(damagedLog())
    expect(failure).toContain('records are lost, from offset 1 on')
  })

  test('is left out where loss is accepted', async () => {
    const log = damagedLog()
    log.acceptsLoss = true
    const { applied, failure, lines } = await replay(log)
    expect([failure, applied]).toEqual([null, ['0 a', '3 d']])
    expect(lines).toMatchObject([
      { message: lost, fields: { firstOffset: 1, lastOffset: 2, firstReason: 'unreadable' } },
    ])
  })
})
