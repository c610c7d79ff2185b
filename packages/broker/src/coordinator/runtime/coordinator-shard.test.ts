import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import {
  BatchBuilder,
  buildEndTxnMarker,
  ControlRecordType,
  ErrorCode,
  isControlBatch,
  isTransactionalBatch,
  producerEpochOf,
  producerIdOf,
  recordCountOf,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { FakeCoordinatorLog } from '../testing/fake-coordinator-log.ts'
import { ManualTurn } from '../testing/manual-turn.ts'
import { RecordingLogger } from '../testing/recording-logger.ts'
import type { Coordinator, RecordPosition } from './coordinator.ts'
import { CoordinatorRuntime } from './coordinator-runtime.ts'
import type { WriteLimits } from './shard-ports.ts'
import { type Step as RuntimeStep, Step } from './step.ts'
import { type Timeline, TimelineMap } from './timeline.ts'

interface Entry {
  readonly key: string
  readonly value: string | null
}
type TableStep = RuntimeStep<Entry, string, string>

const PARTITION = 3

/** A table of text: the simplest machine there is. Its events are remembered. */
class Table implements Coordinator<Entry, string, string> {
  readonly map: TimelineMap<string, string>
  readonly events: string[] = []
  readonly positions: RecordPosition[] = []

  constructor(timeline: Timeline) {
    this.map = new TimelineMap(timeline)
  }

  apply(record: Entry, position: RecordPosition): void {
    if (record.key === 'poison') throw new Error('poisoned')
    this.positions.push(position)
    if (record.value === null) this.map.delete(record.key)
    else this.map.set(record.key, record.value)
  }

  endTransaction(producerId: number, committed: boolean): void {
    this.events.push(`transaction of ${producerId} ${committed ? 'committed' : 'aborted'}`)
  }

  onLoaded(step: TableStep): void {
    this.events.push('loaded')
    step.schedule('tick', 1000, 'tick')
  }

  onUnloaded(step: TableStep): void {
    step.reply(99, 'unloaded')
  }

  onTimer(event: string, step: TableStep): void {
    this.events.push(`timer ${event}`)
    if (event !== 'tick') step.write({ key: event, value: 'fired' })
  }

  onWriteDone(event: string, errorCode: number): void {
    this.events.push(`${event} ${errorCode}`)
  }
}

const codec = {
  encode: ({ key, value }: Entry) => ({ key: Buffer.from(key), value: value === null ? null : Buffer.from(value) }),
  decode: (key: Buffer, value: Buffer | null): Entry | null =>
    key.toString().startsWith('?') ? null : { key: key.toString(), value: value === null ? null : value.toString() },
}

/** A runtime with one active shard, and what it is made of. */
async function active(log = new FakeCoordinatorLog(PARTITION), limits: Partial<WriteLimits> = {}) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const turn = new ManualTurn()
  const logger = new RecordingLogger()
  const replies: string[] = []
  const faults: unknown[] = []
  const tables: Table[] = []
  const runtime = new CoordinatorRuntime<Table, Entry, string, string>({
    clock,
    timers,
    logger,
    codec,
    limits: { writeTimeoutMs: 5000, maxBatchSizeBytes: 1000, appendLingerMs: -1, ...limits },
    createCoordinator: (_partition, timeline) => {
      const table = new Table(timeline)
      tables.push(table)
      return table
    },
    enqueueEndOfTurn: turn.enqueue,
    onReply: ({ token, reply }) => replies.push(`${token} ${reply}`),
    onFault: (error) => faults.push(error),
  })
  await runtime.onElection(PARTITION, log)
  const outcomes: string[] = []
  /** Runs an operation that writes the given keys with its own name as value. */
  const put = (name: string, ...keys: string[]): void =>
    runtime.write(
      PARTITION,
      (_table, step) => {
        for (const key of keys) step.write({ key, value: name })
        return name
      },
      (errorCode, response) => outcomes.push(`${name} ${errorCode} ${response}`),
    )
  const committed = (key: string) => runtime.read(PARTITION, (table) => table.map.getCommitted(key) ?? null).response
  const table = () => tables.at(-1)!
  return { runtime, log, clock, timers, turn, logger, replies, faults, outcomes, put, committed, table }
}

describe('a write operation', () => {
  test('changes the state at once and is answered when the high watermark passes its records', async () => {
    const { log, turn, outcomes, put, committed, table } = await active()
    put('first', 'a', 'b')
    expect(table().map.get('a')).toBe('first')
    turn.end()
    expect(log.logEndOffset).toBe(2)
    expect(outcomes).toEqual([])
    expect(committed('a')).toBeNull()
    log.commit()
    expect(outcomes).toEqual(['first 0 first'])
    expect(committed('a')).toBe('first')
  })

  test('shares one batch with the others of its turn', async () => {
    const { log, turn, outcomes, put } = await active()
    for (let name = 0; name < 10; name++) put(`${name}`, `key ${name}`)
    turn.end()
    expect(log.batches.map((batch) => recordCountOf(batch, 0))).toEqual([10])
    log.commit()
    expect(outcomes).toHaveLength(10)
  })

  test('knows the offsets that its records will get', async () => {
    const { turn, put, table } = await active()
    put('first', 'a', 'b')
    put('second', 'c')
    turn.end()
    put('third', 'd')
    expect(table().positions.map((position) => position.offset)).toEqual([0, 1, 2, 3])
  })

  test('without records waits for the writes before it, appended or not', async () => {
    const { log, turn, outcomes, put } = await active()
    put('reads nothing')
    expect(outcomes).toEqual(['reads nothing 0 reads nothing'])
    put('writes', 'a')
    put('reads an open batch')
    turn.end()
    put('reads an appended batch')
    expect(outcomes).toHaveLength(1)
    log.commit()
    expect(outcomes.slice(1)).toEqual([
      'writes 0 writes',
      'reads an open batch 0 reads an open batch',
      'reads an appended batch 0 reads an appended batch',
    ])
  })

  test('ends with REQUEST_TIMED_OUT if it is not committed in time, and only once', async () => {
    const { log, timers, turn, outcomes, put, committed, table } = await active()
    put('first', 'a')
    turn.end()
    timers.advance(3000)
    put('second', 'b')
    put('reads')
    turn.end()
    timers.advance(2000)
    expect(outcomes).toEqual(['first 7 null'])
    timers.advance(2999)
    expect(outcomes).toHaveLength(1)
    timers.advance(1)
    expect(outcomes).toEqual(['first 7 null', 'second 7 null', 'reads 7 null'])
    log.commit()
    expect(outcomes).toHaveLength(3)
    expect(committed('b')).toBe('second')
    expect(table().map.get('a')).toBe('first')
  })

  test('brings its continuation back with the outcome before it is answered', async () => {
    const { runtime, log, turn, table } = await active()
    const seen: string[][] = []
    const write = (event: string) =>
      runtime.write(
        PARTITION,
        (_table, step) => {
          step.write({ key: 'a', value: event })
          step.continuation = event
        },
        () => seen.push([...table().events]),
      )
    write('x')
    turn.end()
    log.commit()
    expect(seen).toEqual([['loaded', 'x 0']])
    log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    write('y')
    turn.end()
    expect(seen[1]).toEqual(['loaded', 'x 0', 'y 19'])
  })

  test('that throws is taken back, answered UNKNOWN_SERVER_ERROR and reported, and others go on', async () => {
    const { runtime, log, turn, outcomes, put, faults, table } = await active()
    put('good', 'a')
    runtime.write(
      PARTITION,
      (each) => {
        each.map.set('a', 'bad')
        throw new Error('bug')
      },
      (errorCode) => outcomes.push(`bad ${errorCode}`),
    )
    put('poison', 'b', 'poison')
    expect(outcomes).toEqual(['bad -1', 'poison -1 null'])
    expect(faults).toEqual([new Error('bug'), new Error('poisoned')])
    expect([table().map.get('a'), table().map.has('b')]).toEqual(['good', false])
    turn.end()
    log.commit()
    expect(outcomes.at(-1)).toBe('good 0 good')
  })

  test('whose only record cannot be applied leaves no empty batch behind', async () => {
    const { log, turn, outcomes, put } = await active()
    put('poison', 'poison')
    put('reads')
    turn.end()
    expect(log.batches).toEqual([])
    expect(outcomes).toEqual(['poison -1 null', 'reads 0 reads'])
  })
})

describe('an append that fails', () => {
  test('takes back all operations of its batch and answers them with the error', async () => {
    const { log, turn, outcomes, put, table, logger } = await active()
    put('before', 'a')
    turn.end()
    log.commit()
    log.appendError = ErrorCode.NOT_LEADER_OR_FOLLOWER
    put('first', 'a', 'b')
    put('second', 'c')
    put('reads')
    turn.end()
    expect(outcomes.slice(1)).toEqual(['first 6 null', 'second 6 null', 'reads 6 null'])
    expect([...table().map.entries()]).toEqual([['a', 'before']])
    expect(logger.messages('warn')).toEqual(['append of a coordinator failed'])
    log.appendError = 0
    put('third', 'a')
    turn.end()
    log.commit()
    expect(table().map.getCommitted('a')).toBe('third')
  })

  test('does not take back batches before it', async () => {
    const { log, turn, outcomes, put, table } = await active()
    put('first', 'a')
    turn.end()
    log.appendError = ErrorCode.KAFKA_STORAGE_ERROR
    put('second', 'a')
    turn.end()
    expect(table().map.get('a')).toBe('first')
    log.commit()
    expect(outcomes).toEqual(['second 56 null', 'first 0 first'])
  })
})

describe('a write in a transaction', () => {
  const producer = { producerId: 7, producerEpoch: 2, verification: null }
  const end = { producerId: 7, producerEpoch: 2, coordinatorEpoch: 1, transactionVersion: 0 }
  const kinds = ({ batches }: FakeCoordinatorLog): string[] =>
    batches.map((batch) => {
      const who = `${producerIdOf(batch, 0)}/${producerEpochOf(batch, 0)}`
      if (isControlBatch(batch, 0)) return `marker ${who}`
      return isTransactionalBatch(batch, 0) ? `of ${who}` : 'plain'
    })

  async function started() {
    const shard = await active()
    const { runtime, outcomes } = shard
    const putIn = (name: string, key: string): void =>
      runtime.write(
        PARTITION,
        (_table, step) => {
          step.write({ key, value: name })
          return name
        },
        (errorCode, response) => outcomes.push(`${name} ${errorCode} ${response}`),
        producer,
      )
    const mark = (commit: boolean): void =>
      runtime.endTransaction(PARTITION, { ...end, commit }, (errorCode) => outcomes.push(`marker ${errorCode}`))
    return { ...shard, putIn, mark }
  }

  test('is a batch of its own, behind what came before, and told with its producer', async () => {
    const { log, turn, put, putIn, outcomes, table } = await started()
    put('a', 'x')
    putIn('b', 'y')
    put('c', 'z')
    turn.end()
    expect(kinds(log)).toEqual(['plain', 'of 7/2', 'plain'])
    expect(table().positions.map(({ offset, producerId }) => [offset, producerId])).toEqual([
      [0, -1],
      [1, 7],
      [2, -1],
    ])
    log.commit()
    expect(outcomes).toEqual(['a 0 a', 'b 0 b', 'c 0 c'])
  })

  test('ends with a marker, behind what is under way, which is answered when it is committed', async () => {
    const { log, turn, put, putIn, mark, outcomes, table } = await started()
    putIn('b', 'y')
    put('a', 'x')
    mark(true)
    turn.end()
    expect(kinds(log)).toEqual(['of 7/2', 'plain', 'marker 7/2'])
    expect(table().events).toContain('transaction of 7 committed')
    log.commit(2)
    expect(outcomes).toEqual(['b 0 b', 'a 0 a'])
    log.commit()
    expect(outcomes.at(-1)).toBe('marker 0')
  })

  test('that the log refuses is taken back, alone', async () => {
    const { log, turn, put, putIn, outcomes, committed } = await started()
    put('a', 'x')
    turn.end()
    log.appendError = ErrorCode.INVALID_PRODUCER_EPOCH
    putIn('b', 'x')
    log.appendError = 0
    log.commit()
    expect(outcomes).toEqual([`b ${ErrorCode.INVALID_PRODUCER_EPOCH} null`, 'a 0 a'])
    expect(committed('x')).toBe('a')
  })

  test('is taken back with the batch before it, which it may have seen', async () => {
    const { log, turn, put, putIn, mark, outcomes, table } = await started()
    put('a', 'x')
    log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    putIn('b', 'y')
    put('c', 'z')
    mark(true)
    turn.end()
    const error = ErrorCode.NOT_ENOUGH_REPLICAS
    expect(outcomes).toEqual([`a ${error} null`, `b ${error} null`, `c ${error} null`, `marker ${error}`])
    expect(['x', 'y', 'z'].map((key) => table().map.get(key))).toEqual([undefined, undefined, undefined])
    expect(log.batches).toEqual([])
  })

  test('and markers are refused where the shard is not active', async () => {
    const { runtime, putIn, mark, outcomes } = await started()
    runtime.onResignation(PARTITION)
    putIn('b', 'y')
    mark(true)
    expect(outcomes).toEqual([`b ${ErrorCode.NOT_COORDINATOR} null`, `marker ${ErrorCode.NOT_COORDINATOR}`])
  })
})

describe('a full batch', () => {
  test('is appended before an operation that does not fit', async () => {
    const { log, turn, put } = await active()
    put('first', 'x'.repeat(600))
    put('second', 'y'.repeat(600))
    expect(log.batches).toHaveLength(1)
    turn.end()
    expect(log.batches).toHaveLength(2)
  })

  test('whose append fails takes the operation that did not fit back with it', async () => {
    const { log, turn, outcomes, put, table } = await active()
    log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    put('first', 'x'.repeat(600))
    put('second', 'y'.repeat(600))
    expect(outcomes).toEqual(['first 19 null', 'second 19 null'])
    expect(table().map.size).toBe(0)
    log.appendError = 0
    put('third', 'a')
    turn.end()
    log.commit()
    expect(outcomes.at(-1)).toBe('third 0 third')
  })

  test('is exceeded by one operation rather than splitting it: the log decides', async () => {
    const { log, turn, put } = await active()
    put('large', ...Array.from({ length: 5 }, (_, slot) => `${slot}`.repeat(400)))
    turn.end()
    expect(log.batches.map((batch) => recordCountOf(batch, 0))).toEqual([5])
  })

  test('is split by an operation that allows it, which is answered when its last record is committed', async () => {
    const { runtime, log, turn, outcomes } = await active()
    runtime.write(
      PARTITION,
      (_table, step) => {
        step.splittable = true
        for (let slot = 0; slot < 5; slot++) step.write({ key: `${slot}`.repeat(400), value: 'v' })
      },
      (errorCode) => outcomes.push(`split ${errorCode}`),
    )
    turn.end()
    expect(log.batches.map((batch) => recordCountOf(batch, 0))).toEqual([2, 2, 1])
    log.commit(4)
    expect(outcomes).toEqual([])
    log.commit()
    expect(outcomes).toEqual(['split 0'])
  })

  test('of a split operation that fails keeps what was appended before', async () => {
    const { runtime, log, turn, outcomes, table } = await active()
    runtime.write(
      PARTITION,
      (_table, step) => {
        step.splittable = true
        for (let slot = 0; slot < 3; slot++) step.write({ key: `${slot}`.repeat(400), value: 'v' })
      },
      (errorCode) => outcomes.push(`split ${errorCode}`),
    )
    log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    turn.end()
    expect(outcomes).toEqual(['split 19'])
    expect([...table().map.keys()].map((key) => key[0])).toEqual(['0', '1'])
    log.commit()
    expect([...table().map.committedEntries()]).toHaveLength(2)
  })
})

describe('the time a batch stays open', () => {
  test('is none with a linger of 0', async () => {
    const { log, put } = await active(undefined, { appendLingerMs: 0 })
    put('first', 'a')
    put('second', 'b')
    expect(log.batches).toHaveLength(2)
  })

  test('is the linger if there is one', async () => {
    const { log, timers, turn, put } = await active(undefined, { appendLingerMs: 10 })
    put('first', 'a')
    turn.end()
    timers.advance(9)
    put('second', 'b')
    expect(log.batches).toHaveLength(0)
    timers.advance(1)
    expect(log.batches.map((batch) => recordCountOf(batch, 0))).toEqual([2])
  })
})

describe('timers', () => {
  test('run as write operations', async () => {
    const { runtime, log, timers, turn, table } = await active()
    runtime.write(
      PARTITION,
      (_table, step) => step.schedule('k', 100, 'alarm'),
      () => undefined,
    )
    timers.advance(100)
    turn.end()
    log.commit()
    expect(table().map.getCommitted('alarm')).toBe('fired')
  })

  test('come again after a failed write only if that was asked for', async () => {
    const { runtime, log, timers, turn, table } = await active()
    runtime.write(
      PARTITION,
      (_table, step) => {
        step.schedule('k', 100, 'again', 500)
        step.schedule('l', 100, 'once')
      },
      () => undefined,
    )
    log.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    timers.advance(100)
    turn.end()
    log.appendError = 0
    timers.advance(500)
    turn.end()
    expect([...table().map.keys()]).toEqual(['again'])
  })
})

describe('loading', () => {
  /** A log with three committed batches. */
  async function filled(): Promise<FakeCoordinatorLog> {
    const { log, turn, put } = await active()
    for (const name of ['first', 'second', 'third']) {
      put(name, 'a', name)
      turn.end()
    }
    log.commit()
    return log.crash()
  }

  test('gives the state that the log describes', async () => {
    const { table, committed, logger } = await active(await filled())
    expect([...table().map.keys()].sort()).toEqual(['a', 'first', 'second', 'third'])
    expect(committed('a')).toBe('third')
    expect(table().events).toEqual(['loaded'])
    expect(logger.lines[0]).toMatchObject({
      message: 'coordinator loaded',
      fields: { records: 6, partition: PARTITION },
    })
  })

  test('answers COORDINATOR_LOAD_IN_PROGRESS until it is done', async () => {
    const log = await filled()
    const { runtime, outcomes, put } = await active()
    const loading = runtime.onElection(PARTITION, log)
    put('early', 'a')
    expect(runtime.read(PARTITION, () => 1)).toEqual({ errorCode: 14, response: null })
    expect(outcomes).toEqual(['early 14 null'])
    await loading
    expect(runtime.stateOf(PARTITION)).toBe('active')
    expect(runtime.read(PARTITION, () => 1)).toEqual({ errorCode: 0, response: 1 })
  })

  test('serves nobody before all of its log is committed: a former leader may have acknowledged what it holds', async () => {
    const log = await filled()
    log.highWatermark = 4
    const { committed, table, outcomes, put, runtime } = await active(log)
    expect(table().map.get('a')).toBe('third')
    expect(table().events).toEqual([])
    put('early')
    expect(outcomes).toEqual(['early 14 null'])
    log.commit(log.logEndOffset - 1)
    expect(runtime.read(PARTITION, () => 1)).toEqual({ errorCode: 14, response: null })
    log.commit()
    expect(committed('a')).toBe('third')
    expect(table().events).toEqual(['loaded'])
    put('reads')
    expect(outcomes).toEqual(['early 14 null', 'reads 0 reads'])
  })

  test('whose leadership ends before its log is committed serves nobody', async () => {
    const log = await filled()
    log.highWatermark = 4
    const { runtime } = await active(log)
    runtime.onResignation(PARTITION)
    log.commit()
    expect(runtime.read(PARTITION, () => 1)).toEqual({ errorCode: 16, response: null })
  })

  test('notices a high watermark that rises while it reads', async () => {
    const log = await filled()
    log.highWatermark = 0
    log.batchesPerChunk = 1
    let chunks = 0
    log.beforeChunk = async () => {
      chunks++
      if (chunks === 3) log.commit()
    }
    const { committed } = await active(log)
    expect(committed('a')).toBe('third')
  })

  test('skips records of unknown types with one warning each', async () => {
    const log = await filled()
    const builder = new BatchBuilder()
    for (const key of ['?x', '?x', 'b']) builder.append(0, Buffer.from(key), Buffer.from('v'))
    log.append(builder.build())
    log.commit()
    const { table, logger } = await active(log)
    expect(table().map.get('b')).toBe('v')
    expect(logger.messages('warn')).toEqual(['records of an unknown type are skipped'])
  })

  test('fails on a record that cannot be applied, and the partition answers NOT_COORDINATOR', async () => {
    const log = await filled()
    const builder = new BatchBuilder()
    builder.append(0, Buffer.from('poison'), null)
    log.append(builder.build())
    log.commit()
    const { runtime, logger, outcomes, put } = await active(log)
    expect(runtime.stateOf(PARTITION)).toBe('failed')
    put('late', 'a')
    expect(outcomes).toEqual(['late 16 null'])
    expect(logger.lines.at(-1)).toMatchObject({
      level: 'error',
      message: 'coordinator failed to load',
      fields: { error: 'internal-3: the batch that ends before offset 7 cannot be replayed: poisoned' },
    })
  })

  test('fails on a damaged batch', async () => {
    const log = await filled()
    log.batches[1]![80]! ^= 1
    const { runtime } = await active(log)
    expect(runtime.stateOf(PARTITION)).toBe('failed')
  })

  test('fails when the log gives less than it has, rather than taking a part for all', async () => {
    const log = await filled()
    log.read = async function* () {
      yield log.batches[0]!
    }
    const { runtime } = await active(log)
    expect(runtime.stateOf(PARTITION)).toBe('failed')
  })

  test('tries again when the log cannot be read for a while, and clients are told that it loads', async () => {
    const log = await filled()
    let faults = 3
    log.beforeChunk = () => (faults-- > 0 ? Promise.reject(new Error('no descriptors')) : Promise.resolve())
    const { runtime, table, timers, logger, outcomes, put } = await active(log)
    expect(runtime.stateOf(PARTITION)).toBe('loading')
    put('early', 'a')
    expect(outcomes).toEqual(['early 14 null'])
    for (let second = 0; second < 2 && runtime.stateOf(PARTITION) !== 'active'; second++) {
      for (let step = 0; step < 10; step++) {
        timers.advance(100)
        for (let round = 0; round < 20; round++) await Promise.resolve()
      }
    }
    expect(runtime.stateOf(PARTITION)).toBe('active')
    expect([faults < 0, table().map.get('a'), logger.messages('warn').length]).toEqual([true, 'third', 1])
  })

  test('fails when the log cannot be read for minutes, and a later election tries again', async () => {
    const log = await filled()
    let tries = 0
    log.beforeChunk = () => {
      tries++
      return Promise.reject(new Error('disk'))
    }
    const { runtime, table, timers } = await active(log)
    for (let second = 0; second < 600 && runtime.stateOf(PARTITION) === 'loading'; second++) {
      timers.advance(1000)
      for (let round = 0; round < 20; round++) await Promise.resolve()
    }
    expect([runtime.stateOf(PARTITION), tries, timers.pendingCount]).toEqual(['failed', 31, 0])
    log.beforeChunk = () => Promise.resolve()
    await runtime.onElection(PARTITION, log)
    expect(table().map.get('a')).toBe('third')
  })

  test('that is to be tried again is not when the partition has another leader', async () => {
    const log = await filled()
    log.beforeChunk = () => Promise.reject(new Error('disk'))
    const { runtime, timers } = await active(log)
    expect(timers.pendingCount).toBe(1)
    runtime.onResignation(PARTITION)
    expect(timers.pendingCount).toBe(0)
  })

  test('tells the machine which transactions ended and how, and who wrote a record', async () => {
    const log = new FakeCoordinatorLog(PARTITION)
    const builder = new BatchBuilder({ producerId: 7, producerEpoch: 2, transactional: true, baseSequence: 0 })
    builder.append(0, Buffer.from('a'), Buffer.from('v'))
    log.append(builder.build())
    for (const [producerId, type] of [
      [7, ControlRecordType.COMMIT],
      [8, ControlRecordType.ABORT],
    ] as const) {
      log.append(buildEndTxnMarker({ type, coordinatorEpoch: 0, producerId, producerEpoch: 2, timestamp: 0 }))
    }
    log.commit()
    const { table } = await active(log)
    expect(table().positions).toEqual([{ offset: 0, producerId: 7, producerEpoch: 2 }])
    expect(table().events).toEqual(['transaction of 7 committed', 'transaction of 8 aborted', 'loaded'])
  })

  test('leaves other work its turn when it takes long', async () => {
    const log = await filled()
    const { runtime, clock, timers } = await active()
    log.beforeChunk = async () => clock.advance(100)
    const loading = runtime.onElection(PARTITION, log)
    // As many microtasks as one likes do not finish it: it waits for a timer, once per chunk.
    for (let chunk = 0; chunk < 2; chunk++) {
      for (let microtask = 0; microtask < 100; microtask++) await Promise.resolve()
      expect(runtime.stateOf(PARTITION)).toBe('loading')
      timers.advance(0)
    }
    await loading
    expect(runtime.stateOf(PARTITION)).toBe('active')
  })
})

describe('resignation', () => {
  test('answers what waits with NOT_COORDINATOR, releases what is parked and stops the timers', async () => {
    const { runtime, log, timers, turn, outcomes, put, replies, table } = await active()
    put('appended', 'a')
    turn.end()
    put('open', 'b')
    runtime.onResignation(PARTITION)
    expect(outcomes).toEqual(['appended 16 null', 'open 16 null'])
    expect(replies).toEqual(['99 unloaded'])
    put('late', 'c')
    expect(outcomes.at(-1)).toBe('late 16 null')
    const before = [...table().events]
    timers.advance(100_000)
    turn.end()
    log.commit()
    expect(table().events).toEqual(before)
    expect(outcomes).toHaveLength(3)
    expect(log.batches).toHaveLength(1)
    expect(timers.pendingCount).toBe(0)
  })

  test('while loading ends the load without a trace', async () => {
    const { runtime, logger, log } = await active()
    log.append(new SingleRecord('a').build())
    log.commit()
    const loading = runtime.onElection(PARTITION, log)
    runtime.onResignation(PARTITION)
    await loading
    expect(runtime.stateOf(PARTITION)).toBeUndefined()
    expect(logger.lines.map(({ level }) => level)).toEqual(['debug'])
  })
})

describe('a log that somebody else wrote to', () => {
  test('is loaded again, and what was not committed is answered NOT_COORDINATOR', async () => {
    const { runtime, log, turn, outcomes, put, table, logger } = await active()
    put('first', 'a')
    log.append(new SingleRecord('foreign').build())
    turn.end()
    expect(outcomes).toEqual(['first 16 null'])
    expect(logger.messages('error')).toEqual(['coordinator is out of step with its log and loads again'])
    for (let turns = 0; turns < 20; turns++) await Promise.resolve()
    expect(runtime.stateOf(PARTITION)).toBe('loading')
    log.commit()
    expect(runtime.stateOf(PARTITION)).toBe('active')
    expect([...table().map.keys()]).toEqual(['foreign', 'a'])
  })
})

describe('a step', () => {
  test('keeps timer commands in order', () => {
    const step = new Step<Entry, string, string>(0)
    step.schedule('k', 1, 'x')
    step.cancel('k')
    expect(step.timers.map((timer) => timer.event)).toEqual(['x', null])
  })
})

/** A batch of one record with the given key. */
class SingleRecord {
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  build(): Buffer {
    const builder = new BatchBuilder()
    builder.append(0, Buffer.from(this.#key), Buffer.from('v'))
    return builder.build()
  }
}
