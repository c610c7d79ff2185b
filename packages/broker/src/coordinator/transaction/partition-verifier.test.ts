import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { type AddPartitionsToTxnResult, type AddPartitionsToTxnTransaction, ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { ledImage } from '../testing/led-image.ts'
import { resultOf } from './enlist-answers.ts'
import { PartitionVerifier, type Verdicts } from './partition-verifier.ts'
import { TransactionCounters } from './transaction-counters.ts'

/** Goal: coordinators are asked about what producers write, together where that is possible, and producers get answers that they know. */

const HERE = 1
const OLD = { isEnlisted: false, knowsAbortable: false }
const NEW = { isEnlisted: true, knowsAbortable: true }

interface Request {
  readonly brokerId: number
  readonly transactions: readonly AddPartitionsToTxnTransaction[]
  answer(results: AddPartitionsToTxnResult[], errorCode?: number): void
  fail(): void
}

class Asking {
  readonly clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.clock)
  readonly counters = new TransactionCounters()
  requests: Request[] = []
  /** What the coordinator on this node says. */
  localCodes: number[] = []
  askedHere = 0
  /** What a producer of this node's ids has to wait for; null: nothing. */
  ended: Promise<void> | null = null
  image = ledImage([1, 2, 3], { __transaction_state: [1, 2, 3, -1, 2], t: [1, 1] })
  readonly verifier = new PartitionVerifier({
    nodeId: HERE,
    clock: this.clock,
    timers: this.timers,
    counters: this.counters,
    image: () => this.image,
    partitionFor: (transactionalId) => (transactionalId === 'none' ? null : Number(transactionalId.split('/')[0])),
    askHere: (transactions) => {
      this.askedHere++
      const code = this.localCodes.shift() ?? ErrorCode.NONE
      return Promise.resolve(transactions.map((transaction) => resultOf(transaction, code)))
    },
    ask: (brokerId, _statePartition, transactions) =>
      new Promise((resolve, reject) => {
        this.requests.push({
          ...{ brokerId, transactions },
          answer: (results, errorCode = ErrorCode.NONE) => resolve({ errorCode, results }),
          fail: () => reject(new Error('cut off')),
        })
      }),
    whenEnded: () => this.ended,
    settings: () => ({
      requestTimeoutMs: 30_000,
      addPartitionsToTxnRetryBackoffMs: 20,
      addPartitionsToTxnRetryBackoffMaxMs: 100,
    }),
  })

  /** Of an id whose partition of `__transaction_state` is its first part. */
  verify(transactionalId: string, client = OLD, partitions: number[] = [0]): Promise<Verdicts> {
    return this.verifier.verify({
      ...{ transactionalId, producerId: 7, producerEpoch: 1, client },
      partitions: new Map([['t', partitions]]),
    })
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('the coordinator', () => {
  test('is asked here or elsewhere, only to verify for clients that have added the partition', async () => {
    const asking = new Asking()
    expect((await asking.verify('0/a'))('t', 0)).toBe(ErrorCode.NONE)
    expect(asking.askedHere).toBe(1)
    const verdicts = asking.verify('1/a', NEW, [0, 1])
    await asking.settle()
    const [request] = asking.requests
    expect(request!.brokerId).toBe(2)
    expect(request!.transactions).toMatchObject([
      { transactionalId: '1/a', producerId: 7, producerEpoch: 1, verifyOnly: false },
    ])
    request!.answer([resultOf(request!.transactions[0]!, ErrorCode.NONE)])
    expect([(await verdicts)('t', 0), (await verdicts)('t', 1)]).toEqual([0, 0])
  })

  test('is not there: the producer tries again', async () => {
    const asking = new Asking()
    expect((await asking.verify('none'))('t', 0)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect((await asking.verify('3/a'))('t', 0)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    asking.image = ledImage([1, 2, 3], { __transaction_state: [1, 2] }, [2])
    expect((await asking.verify('1/a'))('t', 0)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  })

  test('cannot be reached, or says nothing of a partition: nobody knows', async () => {
    const asking = new Asking()
    const cutOff = asking.verify('1/a')
    const silent = asking.verify('2/a')
    await asking.settle()
    asking.requests[0]!.fail()
    asking.requests[1]!.answer([])
    expect((await cutOff)('t', 0)).toBe(ErrorCode.NETWORK_EXCEPTION)
    expect((await silent)('t', 0)).toBe(ErrorCode.NETWORK_EXCEPTION)
    expect(asking.counters.verificationFailures).toBe(2)
  })

  test('refuses this broker, which a producer cannot help', async () => {
    const asking = new Asking()
    const verdicts = asking.verify('1/a')
    await asking.settle()
    asking.requests[0]!.answer([], ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    expect((await verdicts)('t', 0)).toBe(ErrorCode.INVALID_TXN_STATE)
  })
})

describe('what many producers ask', () => {
  test('of one coordinator goes together, each id once a request, and others do not wait for it', async () => {
    const asking = new Asking()
    for (const id of ['1/a', '1/b', '1/a', '2/c', '4/d']) void asking.verify(id)
    await asking.settle()
    const idsOf = (request: Request): string[] => request.transactions.map(({ transactionalId }) => transactionalId)
    expect(asking.requests.map(idsOf)).toEqual([['1/a', '1/b'], ['2/c'], ['4/d']])
    void asking.verify('1/d')
    await asking.settle()
    // One at a time.
    expect(asking.requests).toHaveLength(3)
    asking.requests[0]!.fail()
    await asking.settle()
    expect(idsOf(asking.requests[3]!)).toEqual(['1/a', '1/d'])
  })

  test('never grows beyond what a request may name', async () => {
    const asking = new Asking()
    for (let count = 0; count < 1_200; count++) void asking.verify(`1/${count}`)
    await asking.settle()
    expect(asking.requests[0]!.transactions).toHaveLength(500)
  })
})

describe('a producer is told', () => {
  test.each([
    ['PRODUCER_FENCED', OLD, ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH],
    ['TRANSACTION_ABORTABLE, unknown to it', OLD, ErrorCode.TRANSACTION_ABORTABLE, ErrorCode.INVALID_TXN_STATE],
    ['TRANSACTION_ABORTABLE', NEW, ErrorCode.TRANSACTION_ABORTABLE, ErrorCode.TRANSACTION_ABORTABLE],
    ['INVALID_PRODUCER_ID_MAPPING', NEW, ErrorCode.INVALID_PRODUCER_ID_MAPPING, ErrorCode.INVALID_PRODUCER_ID_MAPPING],
    ['CONCURRENT_TRANSACTIONS', OLD, ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.CONCURRENT_TRANSACTIONS],
  ])('of %s', async (_, client, said, told) => {
    const asking = new Asking()
    asking.localCodes = [said]
    expect((await asking.verify('0/a', client))('t', 0)).toBe(told)
  })

  test('nothing for a moment, while the transaction before is being ended and this one is to be added', async () => {
    const asking = new Asking()
    asking.localCodes = [ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.CONCURRENT_TRANSACTIONS]
    const verdicts = asking.verify('0/a', NEW)
    for (let step = 0; step < 2; step++) {
      await asking.settle()
      asking.timers.advance(20)
    }
    expect((await verdicts)('t', 0)).toBe(ErrorCode.NONE)
    expect(asking.askedHere).toBe(3)
  })

  test('until the coordinator of this node is done with it, without being asked in vain', async () => {
    const asking = new Asking()
    let end = (): void => undefined
    asking.ended = new Promise((resolve) => {
      end = resolve
    })
    const verdicts = asking.verify('0/a', NEW)
    await asking.settle()
    expect(asking.askedHere).toBe(0)
    // Who has added the partition before is not the one that waits.
    expect((await asking.verify('0/a', OLD))('t', 0)).toBe(ErrorCode.NONE)
    end()
    expect((await verdicts)('t', 0)).toBe(ErrorCode.NONE)
    expect(asking.askedHere).toBe(2)
  })

  test('while another coordinator is asked again and again, soon at first', async () => {
    const asking = new Asking()
    const verdicts = asking.verify('1/a', NEW)
    const askedAtMs: number[] = []
    for (let ms = 0; ms <= 60; ms++) {
      await asking.settle()
      for (const { transactions, answer } of asking.requests.splice(0)) {
        askedAtMs.push(ms)
        answer([resultOf(transactions[0]!, ms < 40 ? ErrorCode.CONCURRENT_TRANSACTIONS : ErrorCode.NONE)])
      }
      await asking.settle()
      asking.timers.advance(1)
    }
    expect(askedAtMs).toEqual([0, 2, 6, 14, 30, 50])
    expect((await verdicts)('t', 0)).toBe(ErrorCode.NONE)
  })

  test('and no longer than that', async () => {
    const asking = new Asking()
    asking.localCodes = Array.from({ length: 100 }, () => ErrorCode.CONCURRENT_TRANSACTIONS)
    const verdicts = asking.verify('0/a', NEW)
    for (let step = 0; step < 5; step++) {
      await asking.settle()
      asking.timers.advance(20)
    }
    expect((await verdicts)('t', 0)).toBe(ErrorCode.CONCURRENT_TRANSACTIONS)
    expect(asking.askedHere).toBe(6)
  })
})
