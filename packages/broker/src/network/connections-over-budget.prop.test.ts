import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { Writer } from '@millrace/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AnswerBudget } from './answer-budget.ts'
import { AnswersInMaking } from './answers-in-making.ts'
import { BufferPool } from './buffer-pool.ts'
import { Connection, type RequestDispatcher } from './connection.ts'
import { RequestBudget } from './request-budget.ts'
import { ResponseSlot } from './response-slot.ts'
import type { Transport } from './transport.ts'
import { Turn } from './turn.ts'
import { WaitingAnswers } from './waiting-answers.ts'

const KIB = 1024
const MIB = 1024 * KIB
const HEADER_BYTES = 8
/** What sockets read at once where they are not told where to. */
const SHARED_READ_BYTES = 256 * KIB

class EmptySlot extends ResponseSlot {
  encode(writer: Writer): void {
    writer.beginFrame()
    writer.endFrame()
  }
}

/** A peer that sends its bytes in pieces. As a real socket it reads where the connection wanted it to after the read before. */
class Peer implements Transport {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 1
  readonly bufferedBytes = 0
  readonly untakenBytes = 0
  readonly bytes: Buffer
  sentBytes = 0
  paused = false
  closed = false
  connection: Connection | null = null
  #target: Buffer | null = null

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get canSend(): boolean {
    return !this.paused && !this.closed && this.sentBytes < this.bytes.length
  }

  send(sizeBytes: number): void {
    const target = this.#target ?? Buffer.alloc(Math.min(sizeBytes, SHARED_READ_BYTES))
    const end = this.sentBytes + Math.min(sizeBytes, target.length)
    const count = this.bytes.copy(target, 0, this.sentBytes, end)
    this.sentBytes += count
    this.connection!.onBytes(target, 0, count)
    if (target !== this.#target) target.fill(0xff)
    this.#target = this.connection!.nextReadBuffer()
  }

  write(): void {
    // What is answered is of no interest.
  }
  pauseReading(): void {
    this.paused = true
  }
  resumeReading(): void {
    this.paused = false
  }
  destroy(): void {
    this.closed = true
  }
  end(): void {
    this.closed = true
  }
}

function frameOf(tag: number, extraBytes: number): Buffer {
  const bytes = Buffer.alloc(4 + HEADER_BYTES + extraBytes, 1 + (tag % 200))
  bytes.writeInt32BE(HEADER_BYTES + extraBytes, 0)
  // Some may be pipelined, and some not.
  bytes.writeInt16BE(tag % 3 === 0 ? 3 : 0, 4)
  return bytes
}

function setUp(maxBytes: number) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const pool = new BufferPool(timers, maxBytes)
  const answers = new AnswerBudget(64 * MIB)
  const making = new AnswersInMaking(answers.maxBytes, () => Promise.resolve())
  const requests = new RequestBudget(pool, maxBytes, clock, timers)
  const shares = { pool, requests, answers, making, waiting: new WaitingAnswers(100_000) }
  let endOfTurn: (() => void)[] = []
  const turn = new Turn(
    (callback) => endOfTurn.push(callback),
    () => undefined,
    clock,
  )
  let refusedCount = 0
  const seen = new Map<Connection, Buffer[]>()
  const unanswered: EmptySlot[] = []
  const dispatcher: RequestDispatcher = {
    maxFrameBytes: () => 8 * MIB,
    isPipelined: (buffer, start) => buffer.readInt16BE(start) === 0,
    startsAlone: () => false,
    mayStart: () => true,
    dispatch(connection, buffer, start, end) {
      seen.get(connection)!.push(Buffer.from(buffer.subarray(start - 4, end)))
      const slot = new EmptySlot(buffer.readInt16BE(start) === 0)
      unanswered.push(slot)
      return slot
    },
    onBadFrame: () => undefined,
    onEncodeFailed: () => undefined,
    onAnswersShed: () => undefined,
    onFrameShed: () => undefined,
    onFrameRefused() {
      refusedCount++
    },
    onConnectionClosed: () => undefined,
  }
  const connect = (connectionId: number, bytes: Buffer): Peer => {
    const peer = new Peer(bytes)
    const context = {
      connectionId,
      clientAddress: '127.0.0.1',
      clientPort: 1,
      listener: 'PLAINTEXT',
      principal: 'User:ANONYMOUS',
      brokerId: -1,
      clientSoftwareName: '',
      clientSoftwareVersion: '',
    }
    peer.connection = new Connection(context, peer, dispatcher, turn, shares, new Writer(1024))
    seen.set(peer.connection, [])
    return peer
  }
  const runTurn = () => {
    const callbacks = endOfTurn
    endOfTurn = []
    for (const callback of callbacks) callback()
    return callbacks.length > 0
  }
  const answerOne = () => {
    const slot = unanswered.shift()
    slot?.complete()
    return slot !== undefined
  }
  return { pool, requests, seen, connect, runTurn, answerOne, refusedCount: () => refusedCount }
}

const frames = fc.array(fc.oneof(fc.nat(100), fc.nat(900 * KIB), fc.integer({ min: MIB - 20, max: 3 * MIB })), {
  minLength: 1,
  maxLength: 4,
})
const steps = fc.array(
  fc.record({
    who: fc.nat(7),
    act: fc.constantFrom('send', 'send', 'send', 'send', 'turn', 'answer', 'close'),
    bytes: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 400 * KIB })),
  }),
  { maxLength: 150 },
)

test('connections that share too little memory all finish their frames, and give all of it back', () => {
  fc.assert(
    fc.property(
      fc.array(frames, { minLength: 2, maxLength: 8 }),
      steps,
      fc.constantFrom(64 * KIB, MIB, 6 * MIB),
      (queues, acts, maxBytes) => {
        const { pool, requests, seen, connect, runTurn, answerOne, refusedCount } = setUp(maxBytes)
        const peers = queues.map((sizes, n) =>
          connect(n, Buffer.concat(sizes.map((extraBytes, m) => frameOf(n * 5 + m, extraBytes)))),
        )
        const closed = new Set<Peer>()
        const endClosed = () => {
          for (const peer of peers) {
            if (!peer.closed || closed.has(peer)) continue
            closed.add(peer)
            peer.connection!.onClose(null)
          }
        }
        let left = 0
        for (const { who, act, bytes } of acts) {
          const peer = peers[who % peers.length]!
          if (act === 'turn') runTurn()
          else if (act === 'answer') answerOne()
          else if (act === 'close' && bytes % 4 === 0 && !peer.closed) {
            peer.destroy()
            left++
          } else if (peer.canSend) peer.send(bytes)
          endClosed()
        }
        for (let moved = true; moved; ) {
          moved = false
          for (const peer of peers) {
            if (!peer.canSend) continue
            peer.send(SHARED_READ_BYTES)
            moved = true
          }
          while (runTurn()) moved = true
          if (answerOne()) moved = true
          endClosed()
        }
        // Who brings more than can be kept at all is closed: where what is read at once is more than the bound.
        expect(closed.size).toBe(left + refusedCount())
        if (maxBytes > 4 * MIB) expect(refusedCount()).toBe(0)
        for (const peer of peers) {
          if (closed.has(peer)) continue
          expect([peer.closed, peer.paused, peer.sentBytes]).toEqual([false, false, peer.bytes.length])
          expect(Buffer.concat(seen.get(peer.connection!)!).equals(peer.bytes)).toBe(true)
        }
        expect([pool.usedBytes, requests.stoppedCount]).toEqual([0, 0])
        expect([requests.hasRoomForLarge(maxBytes * 0.75), requests.hasRoomForLarge(maxBytes * 0.75 + 1)]).toEqual([
          true,
          false,
        ])
      },
    ),
    { numRuns: 40 },
  )
})
