import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { ledImage } from '../testing/led-image.ts'
import { RecordingLogger } from '../testing/recording-logger.ts'
import { MarkerSender, type MarkerWork } from './marker-sender.ts'
import { TransactionCounters } from './transaction-counters.ts'

/** Goal: every partition of a decided transaction is told, for as long as it takes, and none that cannot answer holds up others. */

const HERE = 1
const TOPICS = { here: [1, 1], there: [2, 2, 2], other: [3] }

interface Call {
  readonly brokerId: number
  readonly isSlow: boolean
  readonly works: readonly MarkerWork[]
  answer(codes: readonly number[]): void
  fail(): void
}

class Sending {
  readonly timers = new SimulatedTimers(new SimulatedClock())
  readonly counters = new TransactionCounters()
  readonly logger = new RecordingLogger()
  image: MetadataImage = ledImage([1, 2, 3], TOPICS)
  /** Requests to other brokers that are not answered yet. */
  calls: Call[] = []
  /** Codes of local partitions by `topic/partition`, NONE where there is none; a promise that never settles: `stuck`. */
  readonly local = new Map<string, number | 'stuck'>()
  readonly written: string[] = []
  readonly done: string[] = []
  readonly sender = new MarkerSender({
    nodeId: HERE,
    timers: this.timers,
    logger: this.logger,
    nextTurn: () => Promise.resolve(),
    counters: this.counters,
    image: () => this.image,
    writeLocally: ({ producerId }, topic, partition) => {
      const code = this.local.get(`${topic}/${partition}`) ?? ErrorCode.NONE
      if (code === 'stuck') return new Promise(() => undefined)
      if (code === ErrorCode.NONE) this.written.push(`${producerId} ${topic}/${partition}`)
      return Promise.resolve(code)
    },
    sendTo: (brokerId, works, isSlow) =>
      new Promise((resolve, reject) => {
        this.calls.push({ brokerId, isSlow, works, answer: resolve, fail: () => reject(new Error('cut off')) })
      }),
  })

  /** Tells of a transaction `id`, whose producer is `producerId`. */
  decide(producerId: number, partitions: Record<string, number[]>, statePartition = 0): void {
    const decided = {
      ...{ transactionalId: `t${producerId}`, statePartition, producerId, producerEpoch: 0, coordinatorEpoch: 5 },
      ...{ commit: true, transactionVersion: 2, partitions: new Map(Object.entries(partitions)) },
    }
    this.sender.send(decided, () => this.done.push(decided.transactionalId))
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  async advance(ms: number): Promise<void> {
    this.timers.advance(ms)
    await this.settle()
  }

  /** The request that waits for a broker, taken out. */
  take(brokerId: number, isSlow = false): Call {
    const at = this.calls.findIndex((call) => call.brokerId === brokerId && call.isSlow === isSlow)
    if (at < 0) throw new Error(`nothing was sent to ${brokerId}`)
    return this.calls.splice(at, 1)[0]!
  }

  answerAll(brokerId: number, isSlow = false): void {
    const call = this.take(brokerId, isSlow)
    call.answer(call.works.map(() => ErrorCode.NONE))
  }
}

function namesOf({ works }: Call): string[] {
  return works.map(({ transaction, topic, partition }) => `${transaction.decided.producerId} ${topic}/${partition}`)
}

describe('a decided transaction', () => {
  test('without any partition is over at once', () => {
    const sending = new Sending()
    sending.decide(7, {})
    expect(sending.done).toEqual(['t7'])
    expect(sending.sender.transactionCount).toBe(0)
  })

  test('is over when all of its partitions have their marker, here and elsewhere', async () => {
    const sending = new Sending()
    sending.decide(7, { here: [0, 1], there: [0, 2], other: [0] })
    await sending.settle()
    expect(sending.written).toEqual(['7 here/0', '7 here/1'])
    expect(namesOf(sending.calls[0]!)).toEqual(['7 there/0', '7 there/2'])
    sending.answerAll(2)
    await sending.settle()
    expect(sending.done).toEqual([])
    expect(sending.sender.markerCount).toBe(1)
    sending.answerAll(3)
    await sending.settle()
    expect(sending.done).toEqual(['t7'])
    expect(sending.counters.markersWritten).toBe(5)
  })

  test('forgets a partition that was deleted', async () => {
    const sending = new Sending()
    sending.decide(7, { gone: [0], there: [9] })
    await sending.settle()
    expect(sending.done).toEqual(['t7'])
  })

  test('waits for a leader, and is told of one by metadata before its time', async () => {
    const sending = new Sending()
    sending.image = ledImage([1, 2, 3], { there: [-1] })
    sending.decide(7, { there: [0] })
    await sending.advance(10_000)
    expect(sending.calls).toEqual([])
    expect(sending.counters.markersRetried).toBeGreaterThan(5)
    sending.image = ledImage([1, 2, 3], { there: [3] })
    sending.sender.onMetadata()
    await sending.settle()
    sending.answerAll(3, true)
    await sending.settle()
    expect(sending.done).toEqual(['t7'])
  })

  test('follows its partition to another leader', async () => {
    const sending = new Sending()
    sending.decide(7, { there: [0] })
    await sending.settle()
    sending.image = ledImage([1, 2, 3], { there: [1] })
    sending.take(2).answer([ErrorCode.NOT_LEADER_OR_FOLLOWER])
    await sending.settle()
    await sending.advance(50)
    expect(sending.written).toEqual(['7 there/0'])
    expect(sending.done).toEqual(['t7'])
  })
})

describe('what cannot answer', () => {
  test('a broker that is silent holds up neither other brokers, nor what is here', async () => {
    const sending = new Sending()
    sending.decide(7, { there: [0] })
    await sending.settle()
    for (let producerId = 100; producerId < 200; producerId++) sending.decide(producerId, { here: [0], other: [0] })
    await sending.settle()
    sending.answerAll(3)
    await sending.settle()
    expect(sending.done).toHaveLength(100)
    expect(sending.calls.map(({ brokerId }) => brokerId)).toEqual([2])
  })

  test('a partition that does not take its marker goes by itself afterwards, and others pass it', async () => {
    const sending = new Sending()
    sending.decide(7, { there: [0] })
    await sending.settle()
    sending.take(2).answer([ErrorCode.REQUEST_TIMED_OUT])
    await sending.settle()
    await sending.advance(50)
    // The second try is under way, for as long as it takes.
    expect(sending.calls.map(({ isSlow }) => isSlow)).toEqual([true])
    for (let producerId = 100; producerId < 110; producerId++) sending.decide(producerId, { there: [1] })
    await sending.settle()
    sending.answerAll(2)
    await sending.settle()
    expect(sending.done).toHaveLength(10)
    // Later transactions of the same partition wait with it, not before the others.
    sending.decide(8, { there: [0, 2] })
    await sending.settle()
    expect(namesOf(sending.take(2))).toEqual(['8 there/2'])
  })

  test('a local partition that is stuck holds up no other', async () => {
    const sending = new Sending()
    sending.local.set('here/0', 'stuck')
    sending.decide(7, { here: [0] })
    sending.decide(8, { here: [1] })
    await sending.settle()
    expect(sending.done).toEqual(['t8'])
  })

  test('a broken connection is tried again, with pauses that grow to two seconds', async () => {
    const sending = new Sending()
    sending.decide(7, { other: [0] })
    await sending.settle()
    const pauses: number[] = []
    for (let tries = 0; tries < 9; tries++) {
      sending.take(3, tries > 0).fail()
      await sending.settle()
      let pauseMs = 0
      while (sending.calls.length === 0) {
        await sending.advance(10)
        pauseMs += 10
      }
      pauses.push(pauseMs)
    }
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000])
  })
})

describe('a partition that will never take the marker', () => {
  test('which knows a later epoch of the producer, is left out, counted and told of', async () => {
    const sending = new Sending()
    sending.local.set('here/0', ErrorCode.INVALID_PRODUCER_EPOCH)
    sending.decide(7, { here: [0, 1] })
    await sending.settle()
    expect(sending.done).toEqual(['t7'])
    expect(sending.counters.markersGivenUp).toBe(1)
    expect(sending.logger.messages('warn')).toEqual(['a partition will not take the marker of a transaction'])
  })

  test('which knows a later coordinator, ends the sending: that one completes the transaction', async () => {
    const sending = new Sending()
    sending.local.set('here/0', ErrorCode.TRANSACTION_COORDINATOR_FENCED)
    sending.decide(7, { here: [0, 1], there: [0] })
    await sending.settle()
    sending.answerAll(2)
    await sending.advance(60_000)
    expect(sending.done).toEqual([])
    expect(sending.sender.transactionCount).toBe(0)
    expect(sending.counters.markersGivenUp).toBe(1)
  })
})

describe('a coordinator that is none any more', () => {
  test('sends nothing more for that partition of ids, and goes on with others', async () => {
    const sending = new Sending()
    sending.image = ledImage([1, 2, 3], { ...TOPICS, there: [-1, -1, -1] })
    sending.decide(7, { there: [0] }, 0)
    sending.decide(8, { there: [1] }, 1)
    await sending.settle()
    sending.sender.cancel(0)
    sending.image = ledImage([1, 2, 3], TOPICS)
    await sending.advance(100)
    expect(namesOf(sending.take(2, true))).toEqual(['8 there/1'])
    expect(sending.sender.transactionCount).toBe(1)
  })

  test('forgets that a partition was slow also where it had not come to sending the marker again', async () => {
    const sending = new Sending()
    sending.decide(6, { there: [2] })
    sending.decide(7, { there: [0] })
    await sending.settle()
    sending.take(2).answer([ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NONE])
    await sending.settle()
    await sending.advance(50)
    // The slow lane is busy with there/2; there/0 gets slow meanwhile, and waits behind it.
    sending.decide(8, { there: [0] })
    await sending.settle()
    sending.take(2).answer([ErrorCode.REQUEST_TIMED_OUT])
    await sending.settle()
    await sending.advance(50)
    sending.sender.cancel(0)
    sending.take(2, true).answer([ErrorCode.NONE])
    await sending.settle()
    sending.decide(9, { there: [0] })
    await sending.settle()
    expect(namesOf(sending.take(2))).toEqual(['9 there/0'])
  })

  test('does not end what it begins anew when it is coordinator again', async () => {
    const sending = new Sending()
    sending.decide(7, { other: [0] })
    await sending.settle()
    sending.sender.cancel(0)
    sending.decide(7, { other: [0] })
    await sending.settle()
    // The answer to what was sent in the time before.
    sending.answerAll(3)
    await sending.settle()
    expect(sending.done).toEqual([])
    sending.answerAll(3)
    await sending.settle()
    expect(sending.done).toEqual(['t7'])
  })

  test('leaves no timer behind when it is closed', async () => {
    const sending = new Sending()
    sending.image = ledImage([1, 2, 3], { there: [-1] })
    sending.decide(7, { there: [0] })
    await sending.settle()
    expect(sending.timers.pendingCount).toBe(1)
    sending.sender.close()
    expect(sending.timers.pendingCount).toBe(0)
  })
})
