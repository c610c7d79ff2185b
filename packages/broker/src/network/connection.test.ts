import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { Writer } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ConnectionContext } from '../handlers/handler.ts'
import { AnswerBudget } from './answer-budget.ts'
import { AnswersInMaking, LARGE_REQUEST_BYTES } from './answers-in-making.ts'
import { BufferPool } from './buffer-pool.ts'
import { Connection, type RequestDispatcher } from './connection.ts'
import { RequestBudget } from './request-budget.ts'
import { ResponseSlot } from './response-slot.ts'
import type { Transport } from './transport.ts'
import { Turn } from './turn.ts'
import { WaitingAnswers } from './waiting-answers.ts'

const context: ConnectionContext = {
  connectionId: 1,
  clientAddress: '127.0.0.1',
  clientPort: 1,
  listener: 'PLAINTEXT',
  principal: 'User:ANONYMOUS',
  brokerId: -1,
  clientSoftwareName: '',
  clientSoftwareVersion: '',
}

class MemoryTransport implements Transport {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 1
  bufferedBytes = 0
  written: Buffer[] = []
  writes = 0
  paused = false
  destroyed = false
  /** The peer reads. */
  taking = true
  get untakenBytes(): number {
    return this.bufferedBytes
  }
  write(chunks: readonly Buffer[], sizeBytes: number): void {
    this.writes++
    for (const chunk of chunks) this.written.push(Buffer.from(chunk))
    if (!this.taking) this.bufferedBytes += sizeBytes
  }
  pauseReading(): void {
    this.paused = true
  }
  resumeReading(): void {
    this.paused = false
  }
  destroy(): void {
    this.destroyed = true
  }
  end(): void {
    this.destroyed = true
  }
}

/** Answers with the request's own bytes. API key 0 may be pipelined, as Produce. */
class EchoSlot extends ResponseSlot {
  readonly body: Buffer
  constructor(pipelined: boolean, body: Buffer) {
    super(pipelined)
    this.body = body
  }
  /** It holds so many bytes that were read for it. */
  copied(sizeBytes: number): void {
    this.copiedBytes = sizeBytes
  }
  encode(writer: Writer): void {
    writer.beginFrame()
    writer.raw(this.body)
    writer.endFrame()
  }
}

function ignore(): void {
  // Of no interest here.
}

function newPool(): BufferPool {
  return new BufferPool(new SimulatedTimers(new SimulatedClock()), 64 << 20)
}

function budgetOf(pool: BufferPool, maxBytes: number): RequestBudget {
  const clock = new SimulatedClock()
  return new RequestBudget(pool, maxBytes, clock, new SimulatedTimers(clock))
}

interface SetUp {
  /** Writes what is staged. */
  flush?: () => void
  answerAtOnce?: boolean
  maxFrameBytes?: number
  /** Large requests are not copied, where they may be kept. */
  keeps?: boolean
  /** Requests that start from now on want no answer. */
  silent?: boolean
  pool?: BufferPool
  budget?: RequestBudget
  answers?: AnswerBudget
  making?: AnswersInMaking
  waiting?: WaitingAnswers
}

function setUp(options: SetUp = {}) {
  let endOfTurn: (() => void)[] = []
  const turn = new Turn((callback) => endOfTurn.push(callback), options.flush ?? ignore, new SimulatedClock())
  const transport = new MemoryTransport()
  const started: EchoSlot[] = []
  let closed = 0
  const dispatcher: RequestDispatcher = {
    maxFrameBytes: () => options.maxFrameBytes ?? 1 << 20,
    isPipelined: (buffer, start) => buffer.readInt16BE(start) === 0,
    startsAlone: (buffer, start) => buffer.readInt16BE(start) === 1,
    mayStart: (starter, _buffer, _start, sizeBytes) =>
      sizeBytes <= LARGE_REQUEST_BYTES || making.mayStart(starter, sizeBytes),
    dispatch(starter, buffer, start, end, mayKeep) {
      const keeps = mayKeep && options.keeps === true
      if (keeps) starter.onFrameTaken()
      const body = keeps ? buffer.subarray(start, end) : Buffer.from(buffer.subarray(start, end))
      const slot = new EchoSlot(body.readInt16BE(0) === 0, body)
      slot.silent = options.silent === true
      started.push(slot)
      if (options.answerAtOnce !== false) slot.complete()
      return slot
    },
    onBadFrame: ignore,
    onEncodeFailed: ignore,
    onAnswersShed: ignore,
    onFrameShed: ignore,
    onFrameRefused: ignore,
    onConnectionClosed() {
      closed++
    },
  }
  const pool = options.pool ?? newPool()
  const requests = options.budget ?? budgetOf(pool, 64 << 20)
  const answers = options.answers ?? new AnswerBudget(64 << 20)
  const waiting = options.waiting ?? new WaitingAnswers(100_000)
  const making = options.making ?? new AnswersInMaking(answers.maxBytes, () => Promise.resolve())
  const shares = { pool, requests, answers, making, waiting }
  const connection = new Connection(context, transport, dispatcher, turn, shares, new Writer(1024))
  /** One, and not those that it asks for. */
  const runOneTurn = () => {
    const callbacks = endOfTurn
    endOfTurn = []
    for (const callback of callbacks) callback()
  }
  const runTurn = () => {
    for (let round = 0; round < 50 && endOfTurn.length > 0; round++) {
      const callbacks = endOfTurn
      endOfTurn = []
      for (const callback of callbacks) callback()
    }
  }
  return { connection, transport, started, runTurn, runOneTurn, pool, answers, waiting, closedCount: () => closed }
}

function frame(apiKey: number, tag: number, extraBytes = 0): Buffer {
  const bytes = Buffer.alloc(4 + 8 + extraBytes, tag & 0xff)
  bytes.writeInt32BE(8 + extraBytes, 0)
  bytes.writeInt16BE(apiKey, 4)
  bytes.writeInt16BE(0, 6)
  bytes.writeInt32BE(tag, 8)
  return bytes
}

describe('connection', () => {
  it('answers all requests of one read with one write, in order', () => {
    const { connection, transport, runTurn } = setUp()
    const sent = Buffer.concat([frame(3, 1), frame(0, 2), frame(18, 3, 100)])
    connection.onBytes(sent, 0, sent.length)
    expect(transport.writes).toBe(0)
    runTurn()
    expect(transport.writes).toBe(1)
    expect(Buffer.concat(transport.written)).toEqual(sent)
  })

  it('does not start another request while one waits', () => {
    const { connection, started, transport, runTurn } = setUp({ answerAtOnce: false })
    const sent = Buffer.concat([frame(1, 1), frame(3, 2)])
    connection.onBytes(sent, 0, sent.length)
    runTurn()
    expect(started.length).toBe(1)
    started[0]!.complete()
    runTurn()
    expect(started.length).toBe(2)
    started[1]!.complete()
    runTurn()
    expect(Buffer.concat(transport.written)).toEqual(sent)
  })

  it('lets Produce follow Produce, and sends the answers in order whatever the order of completion', () => {
    const { connection, started, transport, runTurn } = setUp({ answerAtOnce: false })
    const sent = Buffer.concat([frame(0, 1), frame(0, 2), frame(0, 3)])
    connection.onBytes(sent, 0, sent.length)
    expect(started.length).toBe(3)
    started[2]!.complete()
    started[1]!.complete()
    runTurn()
    expect(transport.writes).toBe(0)
    started[0]!.complete()
    runTurn()
    expect(Buffer.concat(transport.written)).toEqual(sent)
  })

  it('holds back what follows Produce until its answer is known', () => {
    const { connection, started, runTurn } = setUp({ answerAtOnce: false })
    const sent = Buffer.concat([frame(0, 1), frame(3, 2)])
    connection.onBytes(sent, 0, sent.length)
    expect(started.length).toBe(1)
    started[0]!.complete()
    runTurn()
    expect(started.length).toBe(2)
  })

  it('stops reading when requests pile up behind one that waits, and reads on afterwards', () => {
    const { connection, started, transport, runTurn } = setUp({ answerAtOnce: false })
    const first = frame(1, 1)
    connection.onBytes(first, 0, first.length)
    const more = frame(3, 2, 70_000)
    connection.onBytes(more, 0, more.length)
    expect(transport.paused).toBe(true)
    started[0]!.complete()
    runTurn()
    expect(transport.paused).toBe(false)
    expect(started.length).toBe(2)
  })

  it('starts a request with a large answer only when the answers before it have left', () => {
    const { connection, started, transport, runTurn } = setUp()
    const sent = Buffer.concat([frame(3, 1), frame(1, 2), frame(1, 3), frame(3, 4)])
    connection.onBytes(sent, 0, sent.length)
    expect(started.length).toBe(1)
    runTurn()
    expect(transport.writes).toBe(3)
    expect(Buffer.concat(transport.written)).toEqual(sent)
  })

  it('starts nothing while the peer does not take its answers', () => {
    const { connection, started, transport, runTurn } = setUp()
    transport.bufferedBytes = 9 * 1024 * 1024
    const sent = frame(3, 1)
    connection.onBytes(sent, 0, sent.length)
    expect(started.length).toBe(0)
    transport.bufferedBytes = 0
    connection.onDrain()
    runTurn()
    expect(started.length).toBe(1)
  })

  it.each([-1, 0, 7, (1 << 20) + 1, 2147483647])('closes on a frame length of %i', (size) => {
    const { connection, transport, started } = setUp()
    const bytes = Buffer.alloc(16)
    bytes.writeInt32BE(size, 0)
    connection.onBytes(bytes, 0, bytes.length)
    expect(transport.destroyed).toBe(true)
    expect(started.length).toBe(0)
  })

  it('answers what came before a bad frame, then ends', () => {
    const { connection, transport, started, runTurn } = setUp({ answerAtOnce: false })
    const good = [frame(0, 1), frame(0, 2)]
    const sent = Buffer.concat([...good, Buffer.from([0xff, 0xff, 0xff, 0xff]), frame(0, 3)])
    connection.onBytes(sent, 0, sent.length)
    connection.onBytes(sent, 0, sent.length)
    runTurn()
    expect([transport.destroyed, started.length]).toEqual([false, 2])
    started[1]!.complete()
    started[0]!.complete()
    runTurn()
    expect(Buffer.concat(transport.written)).toEqual(Buffer.concat(good))
    expect(transport.destroyed).toBe(true)
  })

  it('does not blame the peer for a frame that it may not finish', () => {
    const { connection, transport } = setUp()
    const sent = frame(3, 1, 100)
    connection.onBytes(sent, 0, 50)
    expect(connection.hasPartialFrame).toBe(true)
    transport.bufferedBytes = 9 * 1024 * 1024
    connection.onBytes(sent, 50, 60)
    expect(transport.paused).toBe(true)
    expect(connection.hasPartialFrame).toBe(false)
  })

  it('does not allocate what a frame only declares', () => {
    const { connection, pool } = setUp()
    const bytes = Buffer.alloc(5)
    bytes.writeInt32BE(1 << 20, 0)
    connection.onBytes(bytes, 0, bytes.length)
    expect(pool.usedBytes).toBeLessThanOrEqual(2 << 20)
  })

  it('does what arrived whole before its peer ended, then ends', () => {
    const { connection, transport, started, pool, runTurn } = setUp({ answerAtOnce: false })
    const whole = [frame(1, 1), frame(0, 2), frame(1, 3)]
    const sent = Buffer.concat([...whole, frame(3, 4).subarray(0, 7)])
    connection.onBytes(sent, 0, sent.length)
    connection.onEnd()
    for (let at = 0; at < whole.length; at++) {
      runTurn()
      expect([started.length, transport.destroyed]).toEqual([at + 1, false])
      started[at]!.complete()
    }
    runTurn()
    expect(Buffer.concat(transport.written)).toEqual(Buffer.concat(whole))
    expect([transport.destroyed, pool.usedBytes]).toEqual([true, 0])
  })

  it('ends when the last that its peer left wants no answer', () => {
    const options: SetUp = { answerAtOnce: false }
    const { connection, transport, started, runTurn } = setUp(options)
    const sent = Buffer.concat([frame(1, 1), frame(0, 2), frame(0, 3)])
    connection.onBytes(sent, 0, sent.length)
    connection.onEnd()
    options.silent = true
    options.answerAtOnce = true
    started[0]!.complete()
    runTurn()
    expect([started.length, transport.destroyed]).toEqual([3, true])
  })

  it('ends at once when its peer ends and nothing waits', () => {
    const { connection, transport, pool } = setUp()
    const sent = frame(3, 1)
    connection.onBytes(sent, 0, sent.length - 1)
    connection.onEnd()
    expect([transport.destroyed, pool.usedBytes]).toEqual([true, 0])
  })

  it('gives its memory back when it closes, and abandons what waits', () => {
    const { connection, pool, started, closedCount } = setUp({ answerAtOnce: false })
    const sent = Buffer.concat([frame(1, 1), frame(3, 2, 500)])
    connection.onBytes(sent, 0, sent.length - 10)
    expect(pool.usedBytes).toBeGreaterThan(0)
    connection.onClose(null)
    expect(pool.usedBytes).toBe(0)
    expect(closedCount()).toBe(1)
    started[0]!.complete()
    expect(connection.closed).toBe(true)
  })

  it('closes when an answer cannot be encoded, and harms no other connection', () => {
    const { connection, started, transport, runTurn } = setUp({ answerAtOnce: false })
    const sent = frame(3, 1)
    connection.onBytes(sent, 0, sent.length)
    started[0]!.encode = (writer) => {
      writer.beginFrame()
      writer.int32(1)
      throw new Error('no such field')
    }
    started[0]!.complete()
    runTurn()
    expect(transport.destroyed).toBe(true)
    expect(transport.written).toEqual([])
    const other = setUp()
    other.connection.onBytes(sent, 0, sent.length)
    other.runTurn()
    expect(Buffer.concat(other.transport.written)).toEqual(sent)
  })

  it('is not read while a large frame moves to larger memory, a piece in each turn', () => {
    const { connection, transport, runOneTurn, runTurn, pool } = setUp({ maxFrameBytes: 100 << 20 })
    const sent = frame(3, 1, 20 << 20)
    connection.onBytes(sent, 0, 16 << 20)
    let turnCount = 0
    for (; transport.paused; turnCount++) runOneTurn()
    // The first piece, and another at the end of that turn; then one each.
    expect(turnCount).toBeGreaterThanOrEqual(3)
    connection.onBytes(sent, 16 << 20, sent.length)
    runTurn()
    expect(Buffer.concat(transport.written).equals(sent)).toBe(true)
    expect(pool.usedBytes).toBe(0)
  })

  it('may close while its frame moves', () => {
    const { connection, transport, runTurn, pool } = setUp({ maxFrameBytes: 100 << 20 })
    connection.onBytes(frame(3, 1, 20 << 20), 0, 16 << 20)
    expect(transport.paused).toBe(true)
    connection.onClose(null)
    runTurn()
    expect(pool.usedBytes).toBe(0)
  })

  it('lets a large request be kept where it was read to, if nothing else is there', () => {
    const alone = setUp({ maxFrameBytes: 100 << 20, keeps: true, answerAtOnce: false })
    const sent = frame(3, 1, 2 << 20)
    alone.connection.onBytes(sent, 0, 1 << 20)
    alone.connection.onBytes(sent, 1 << 20, sent.length)
    const [slot] = alone.started
    expect(alone.pool.usedBytes).toBe(0)
    // What comes next has memory of its own.
    const next = frame(3, 9, 2 << 20)
    alone.connection.onBytes(next, 0, next.length)
    expect(slot!.body.equals(sent.subarray(4))).toBe(true)
    slot!.complete()
    alone.runTurn()
    alone.started[1]!.complete()
    alone.runTurn()
    expect(Buffer.concat(alone.transport.written).equals(Buffer.concat([sent, next]))).toBe(true)
    expect(alone.pool.usedBytes).toBe(0)
  })

  it('does not let a request be kept that others follow in the same memory', () => {
    const { connection, transport, started, runTurn, pool } = setUp({
      maxFrameBytes: 100 << 20,
      keeps: true,
      answerAtOnce: false,
    })
    const sent = Buffer.concat([frame(3, 1, 2 << 20), frame(3, 2)])
    connection.onBytes(sent, 0, 100)
    connection.onBytes(sent, 100, sent.length)
    for (const slot of started) slot.complete()
    runTurn()
    for (const slot of started) slot.complete()
    runTurn()
    expect(Buffer.concat(transport.written).equals(sent)).toBe(true)
    expect([pool.usedBytes, pool.idleBytes > 0]).toEqual([0, true])
  })

  it('is not read while others use up the memory for incomplete requests, and goes on after them', () => {
    const pool = newPool()
    const budget = budgetOf(pool, 16 * 1024)
    const first = setUp({ pool, budget })
    const second = setUp({ pool, budget })
    const large = frame(3, 1, 60_000)
    first.connection.onBytes(large, 0, 40_000)
    second.connection.onBytes(large, 0, 40_000)
    expect([first.transport.paused, second.transport.paused]).toEqual([false, true])
    first.connection.onBytes(large, 40_000, large.length)
    first.runTurn()
    expect(second.transport.paused).toBe(false)
    second.connection.onBytes(large, 40_000, large.length)
    second.runTurn()
    expect(Buffer.concat(second.transport.written).equals(large)).toBe(true)
    expect(budget.stoppedCount).toBe(0)
  })

  it('is not closed for a whole frame that waits for its turn while others need the memory', () => {
    const pool = newPool()
    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    const budget = new RequestBudget(pool, 128 * 1024, clock, timers)
    const patient = setUp({ pool, budget, answerAtOnce: false })
    const large = frame(3, 1, 60_000)
    const both = Buffer.concat([frame(1, 1), large])
    patient.connection.onBytes(both, 0, 40_000)
    patient.connection.onBytes(both, 40_000, both.length)
    const dawdlers = [1, 2, 3].map(() => setUp({ pool, budget }))
    for (const { connection } of dawdlers) connection.onBytes(large, 0, 40_000)
    timers.advance(5000)
    expect(dawdlers.map(({ transport }) => transport.destroyed)).toEqual([true, true, false])
    expect(patient.transport.destroyed).toBe(false)
    budget.stop()
  })

  it('makes room for others when it closes in the middle of a request', () => {
    const pool = newPool()
    const budget = budgetOf(pool, 16 * 1024)
    const first = setUp({ pool, budget })
    const second = setUp({ pool, budget })
    const large = frame(3, 1, 60_000)
    first.connection.onBytes(large, 0, 40_000)
    second.connection.onBytes(large, 0, 40_000)
    first.connection.onClose(null)
    expect(second.transport.paused).toBe(false)
  })

  it('believes no announced size while memory for frames is short, and reads in small pieces', () => {
    const pool = newPool()
    const budget = budgetOf(pool, 1 << 20)
    const held = pool.acquire(1 << 20)
    const announced = Buffer.alloc(5)
    announced.writeInt32BE(1 << 20, 0)
    for (let n = 0; n < 100; n++) setUp({ pool, budget }).connection.onBytes(announced, 0, announced.length)
    expect(pool.usedBytes - held.length).toBeLessThanOrEqual(100 * 1024)
    const late = setUp({ pool, budget })
    expect(late.connection.nextReadBuffer()!.length).toBe(16 * 1024)
    pool.release(held)
    expect(late.connection.nextReadBuffer()).toBeNull()
  })

  it('reads on in small pieces while memory for frames is short', () => {
    const pool = newPool()
    const budget = budgetOf(pool, 1 << 20)
    const { connection } = setUp({ pool, budget })
    connection.onBytes(frame(3, 1, 600_000), 0, 3)
    expect(connection.nextReadBuffer()).toBeNull()
    pool.acquire(2 << 20)
    expect(connection.nextReadBuffer()!.length).toBe(16 * 1024)
  })

  it('closes when it brings more than can be kept, since sockets read as much as there was room for when they were asked', () => {
    const pool = newPool()
    const budget = budgetOf(pool, 1 << 20)
    const large = frame(3, 1, 600_000)
    const all = Array.from({ length: 60 }, () => setUp({ pool, budget }))
    // Half of them hold one byte already, which takes a kibibyte.
    for (const { connection } of all.slice(30)) connection.onBytes(large, 0, 1)
    for (const [at, { connection }] of all.entries()) connection.onBytes(large, at < 30 ? 0 : 1, 256 * 1024)
    // One of them goes on above the bound.
    expect(pool.usedBytes).toBeLessThanOrEqual(3 << 20)
    const closed = all.filter(({ transport }) => transport.destroyed)
    expect(closed.length).toBeGreaterThan(40)
    for (const { connection } of closed) connection.onClose(null)
    for (const { connection, transport, started } of all) {
      if (transport.destroyed) continue
      connection.onBytes(large, 256 * 1024, large.length)
      expect([transport.destroyed, started.length]).toEqual([false, 1])
    }
    expect(pool.usedBytes).toBe(0)
  })

  it('rests once it has read its share of a turn, which is smaller when many read', () => {
    const { connection, transport, runTurn } = setUp()
    const large = frame(3, 1, 900_000)
    for (let n = 0; n < 9; n++) connection.onBytes(large, 0, large.length)
    expect(transport.paused).toBe(false)
    connection.onBytes(large, 0, large.length)
    expect(transport.paused).toBe(true)
    expect(connection.hasPartialFrame).toBe(false)
    runTurn()
    expect(transport.paused).toBe(false)
    expect(Buffer.concat(transport.written).length).toBe(10 * large.length)
  })

  it('answers what starts after a rest only once it was written', () => {
    let writtenCount = 0
    const options: SetUp = { answerAtOnce: false, flush: () => (writtenCount = started.length) }
    const { connection, transport, started, runTurn } = setUp(options)
    const large = Array.from({ length: 10 }, (_, tag) => frame(0, tag, 900_000))
    const sent = Buffer.concat([frame(3, 1), ...large])
    connection.onBytes(sent, 0, sent.length)
    expect([started.length, transport.paused]).toEqual([1, true])
    // Its flush stands behind the end of the rest, which starts the others: their answers leave with it.
    options.answerAtOnce = true
    started[0]!.complete()
    let writtenWhenAnswered = -1
    transport.write = () => {
      writtenWhenAnswered = writtenCount
    }
    runTurn()
    expect([started.length, writtenWhenAnswered]).toEqual([11, 11])
  })

  it('has one request under way where too many wait over all connections, and more again afterwards', () => {
    const waiting = new WaitingAnswers(3)
    const first = setUp({ waiting, answerAtOnce: false })
    const second = setUp({ waiting, answerAtOnce: false })
    const four = Buffer.concat([frame(0, 1), frame(0, 2), frame(0, 3), frame(0, 4)])
    first.connection.onBytes(four, 0, four.length)
    second.connection.onBytes(four, 0, four.length)
    expect([first.started.length, second.started.length, waiting.count]).toEqual([3, 1, 4])
    for (const slot of first.started) slot.complete()
    first.runTurn()
    second.started[0]!.complete()
    second.runTurn()
    expect([first.started.length, second.started.length]).toEqual([4, 3])
    first.connection.onClose(null)
    for (let n = 0; n < 3; n++) {
      for (const slot of second.started) slot.complete()
      second.runTurn()
    }
    expect([second.started.length, waiting.count]).toEqual([4, 0])
    expect(Buffer.concat(second.transport.written)).toEqual(four)
  })

  it('holds what its peer does not take against the answers’ budget, and lets go of it when it is taken', () => {
    const answers = new AnswerBudget(1 << 20)
    const { connection, transport, started, runTurn } = setUp({ answers, answerAtOnce: false })
    const sent = frame(3, 1, 1000)
    connection.onBytes(sent, 0, sent.length)
    expect(answers.reserve(5000)).toBe(5000)
    started[0]!.copied(5000)
    transport.taking = false
    started[0]!.complete()
    runTurn()
    // The answer's own bytes, and what was read for it: that is no reservation any more.
    expect(answers.usedBytes).toBe(sent.length)
    expect(answers.bytesOf(connection)).toBe(sent.length)
    transport.bufferedBytes = 0
    connection.onDrain()
    expect(answers.usedBytes).toBe(0)
  })

  it('stays when what was read for its answer is more than half of the answers’ budget', () => {
    const answers = new AnswerBudget(10_000)
    const other = setUp({ answers })
    const { connection, transport, started, runTurn } = setUp({ answers, answerAtOnce: false })
    other.transport.taking = false
    transport.taking = false
    const small = frame(3, 1)
    other.connection.onBytes(small, 0, small.length)
    other.runTurn()
    const sent = frame(3, 1, 7000)
    connection.onBytes(sent, 0, sent.length)
    started[0]!.copied(answers.reserve(7000))
    started[0]!.complete()
    runTurn()
    expect([transport.destroyed, other.transport.destroyed]).toEqual([false, false])
    expect(answers.usedBytes).toBe(small.length + sent.length)
  })

  it('closes when the answers’ budget needs what its peer does not take', () => {
    const answers = new AnswerBudget(1500)
    const slow = setUp({ answers })
    const fast = setUp({ answers })
    slow.transport.taking = false
    const sent = frame(3, 1, 1000)
    slow.connection.onBytes(sent, 0, sent.length)
    slow.runTurn()
    expect(slow.transport.destroyed).toBe(false)
    fast.connection.onBytes(sent, 0, sent.length)
    fast.runTurn()
    expect([slow.transport.destroyed, fast.transport.destroyed]).toEqual([false, false])
    const other = setUp({ answers })
    other.transport.taking = false
    other.connection.onBytes(sent, 0, sent.length)
    other.runTurn()
    expect([slow.transport.destroyed, other.transport.destroyed]).toEqual([true, false])
    slow.connection.onClose(null)
    other.connection.onClose(null)
    expect(answers.usedBytes).toBe(0)
  })

  it('gives the same answers however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ key: fc.constantFrom(0, 1, 3), extra: fc.integer({ min: 0, max: 40_000 }) }), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1, maxLength: 40 }),
        (requests, cuts) => {
          const { connection, transport, runTurn } = setUp()
          const sent = Buffer.concat(requests.map((request, tag) => frame(request.key, tag, request.extra)))
          let position = 0
          for (let i = 0; position < sent.length; i++) {
            const end = Math.min(sent.length, position + cuts[i % cuts.length]!)
            // A shared read buffer is overwritten after each callback; a copy that is wiped stands for it.
            const shared = Buffer.from(sent.subarray(position, end))
            connection.onBytes(shared, 0, shared.length)
            shared.fill(0xff)
            if (i % 3 === 0) runTurn()
            position = end
          }
          runTurn()
          expect(Buffer.concat(transport.written).equals(sent)).toBe(true)
        },
      ),
      { numRuns: 150 },
    )
  })

  it('has the rest of a large frame read into its own buffer, and takes small ones from the shared one', () => {
    const { connection, started } = setUp()
    const large = frame(0, 7, 300_000)
    connection.onBytes(Buffer.from(large.subarray(0, 1000)), 0, 1000)
    const target = connection.nextReadBuffer()!
    expect(target.length).toBe(large.length - 1000)
    large.copy(target, 0, 1000, 5000)
    connection.onBytes(target, 0, 4000)
    const rest = connection.nextReadBuffer()!
    large.copy(rest, 0, 5000)
    connection.onBytes(rest, 0, rest.length)
    expect(started.map(({ body }) => body.equals(large.subarray(4)))).toEqual([true])
    expect(connection.nextReadBuffer()).toBeNull()
    connection.onBytes(frame(0, 8).subarray(0, 6), 0, 6)
    expect(connection.nextReadBuffer()).toBeNull()
  })

  it('reads any frames in any pieces, wherever it wants them', () => {
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.integer({ min: 60_000, max: 400_000 })), { maxLength: 6 })
    const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1000, max: 200_000 })), {
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(sizes, pieces, (extra, cuts) => {
        const { connection, started } = setUp()
        const frames = extra.map((bytes, tag) => frame(0, tag, bytes))
        const all = Buffer.concat(frames)
        for (let start = 0, turn = 0; start < all.length; turn++) {
          const target = connection.nextReadBuffer()
          const size = Math.min(cuts[turn % cuts.length]!, target?.length ?? 256 * 1024, all.length - start)
          const buffer = target ?? Buffer.alloc(size)
          all.copy(buffer, 0, start, start + size)
          connection.onBytes(buffer, 0, size)
          if (target === null) buffer.fill(0xff)
          start += size
        }
        expect(started.length).toBe(frames.length)
        for (const [at, { body }] of started.entries()) expect(body.equals(frames[at]!.subarray(4))).toBe(true)
      }),
      { numRuns: 50 },
    )
  })
})
