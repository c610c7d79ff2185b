import {
  ApiKey,
  createEndTxnResponse,
  createInitProducerIdResponse,
  type EndTxnRequest,
  ErrorCode,
  type InitProducerIdRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { Consumer } from '../../consumer/consumer.ts'
import { AbortableTransactionError, ProducerFencedError } from '../../errors/transaction-errors.ts'
import { FakeCluster } from '../../testing/fake-cluster.ts'
import { refusedPartitions, refusedTxnOffsets } from '../../testing/fake-transactions.ts'
import { refusedProduce } from '../../testing/refused-produce.ts'
import type { PartialDeliveryError } from '../delivery.ts'
import { Producer } from '../producer.ts'
import type { ProducerOptions } from '../producer-options.ts'

/** Gives a commit up while the test lasts. */
const IMPATIENT = { maxBlockMs: 500, requestTimeoutMs: 200, deliveryTimeoutMs: 200 }
const GROUP = { groupId: 'g', memberId: '', generationId: -1, groupInstanceId: null }

/** A cluster with the topic `t`, a producer with a transactional id, and the time in which they work. */
function setUp(level: number, options: Partial<ProducerOptions> = {}, brokers = 2) {
  const cluster = new FakeCluster({ brokers })
  cluster.transactionVersion = level
  cluster.createTopic('t', 2)
  const producer = producerOf(cluster, options)
  const run = <T>(work: () => Promise<T>): Promise<T> => cluster.world.run(work())
  return { cluster, producer, run }
}

function producerOf(cluster: FakeCluster, options: Partial<ProducerOptions> = {}): Producer {
  return new Producer({ ...cluster.clientOptions, transactionalId: 'x', retryBackoffMs: 10, ...options })
}

async function readCommitted(cluster: FakeCluster): Promise<string[]> {
  const consumer = new Consumer({
    ...cluster.clientOptions,
    isolationLevel: 'read_committed',
    autoOffsetReset: 'earliest',
    fetchMaxWaitMs: 5,
  })
  const partitions = cluster.topics.get('t')!.partitions.map((_, partition) => ({ topic: 't', partition }))
  consumer.assign(partitions)
  const values: string[] = []
  const read = async () => {
    const endMs = cluster.world.clock.monotonicMs() + 1000
    while (cluster.world.clock.monotonicMs() < endMs) {
      for (const { records } of await consumer.poll({ timeoutMs: 100 })) {
        for (const { value } of records) values.push(value!.toString())
      }
    }
  }
  await cluster.world.run(read())
  await cluster.world.run(consumer.close())
  return values.sort()
}

/** Has no coordinator end a transaction as long as it is down. */
function endsUnless(cluster: FakeCluster, isDown: () => boolean): void {
  cluster.intercept(ApiKey.END_TXN, (request) =>
    isDown() ? createEndTxnResponse({ errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS }) : cluster.answer(request),
  )
}

describe.each([1, 2])('with transaction version %i', (level) => {
  test('what is committed is seen, what is aborted is not, and offsets go with the commit', async () => {
    const { cluster, producer, run } = setUp(level)
    await run(async () => {
      const first = await producer.begin()
      await first.sendMany(['a', 'b'].map((value, partition) => ({ topic: 't', partition, value })))
      await first.sendOffsets([{ topic: 'in', partition: 0, offset: 5 }], GROUP)
      await first.commit()
      const second = await producer.begin()
      await second.send({ topic: 't', partition: 0, value: 'never' })
      await second.sendOffsets([{ topic: 'in', partition: 0, offset: 9 }], GROUP)
      await second.abort()
      const third = await producer.begin()
      third.post({ topic: 't', partition: 0, value: 'c' })
      await third.commit()
    })
    expect(await readCommitted(cluster)).toEqual(['a', 'b', 'c'])
    expect(cluster.committed.get('g')!.get('in-0')).toBe(5)
    await run(() => producer.close())
    expect(cluster.world.clientTimerCount).toBe(0)
    const isImplicit = level === 2
    expect(cluster.requests(ApiKey.ADD_PARTITIONS_TO_TXN).length > 0).toBe(!isImplicit)
    expect(cluster.requests(ApiKey.ADD_OFFSETS_TO_TXN).length > 0).toBe(!isImplicit)
    for (const { version } of cluster.requests(ApiKey.PRODUCE)) expect(version >= 12).toBe(isImplicit)
  })

  test('leaving the scope aborts, and a transaction without records asks the coordinator nothing', async () => {
    const { cluster, producer, run } = setUp(level)
    await run(async () => {
      const left = await producer.begin()
      await left.send({ topic: 't', partition: 0, value: 'never' })
      // What `await using` does; the import checker cannot read that yet.
      await left[Symbol.asyncDispose]()
      expect(cluster.requests<EndTxnRequest>(ApiKey.END_TXN).map(({ body }) => body.committed)).toEqual([false])
      const empty = await producer.begin()
      await empty.commit()
      await expect(empty.send({ topic: 't', value: 'late' })).rejects.toMatchObject({ code: 'ILLEGAL_STATE' })
      await expect(producer.send({ topic: 't', value: 'outside' })).rejects.toMatchObject({ code: 'ILLEGAL_STATE' })
    })
    expect(cluster.requests(ApiKey.END_TXN)).toHaveLength(1)
    expect(await readCommitted(cluster)).toEqual([])
    await run(() => producer.close())
  })

  test('a record that fails makes the commit fail; after the abort the producer goes on', async () => {
    const { cluster, producer, run } = setUp(level)
    let failures = 1
    cluster.intercept(ApiKey.PRODUCE, (request) =>
      failures-- > 0 ? refusedProduce(request, ErrorCode.INVALID_RECORD) : null,
    )
    await producer.ready('t').catch(() => undefined)
    await run(async () => {
      const transaction = await producer.begin()
      transaction.post({ topic: 't', partition: 0, value: 'bad' })
      await producer.flush()
      await expect(transaction.commit()).rejects.toBeInstanceOf(AbortableTransactionError)
      await expect(transaction.send({ topic: 't', value: 'more' })).rejects.toMatchObject({
        abortable: true,
        fatal: false,
      })
      await transaction.abort()
      const next = await producer.begin()
      await next.send({ topic: 't', partition: 0, value: 'good' })
      await next.commit()
    })
    expect(await readCommitted(cluster)).toEqual(['good'])
    await run(() => producer.close())
  })

  test('a record refused before it reached a batch breaks the transaction too', async () => {
    const { producer, run } = setUp(level)
    await run(async () => {
      const transaction = await producer.begin()
      const large = transaction.send({ topic: 't', value: 'x'.repeat(2_000_000) })
      await expect(large).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' })
      await expect(transaction.commit()).rejects.toMatchObject({ code: 'TRANSACTION_ABORTABLE' })
      await transaction.abort()
    })
    await run(() => producer.close())
  })

  test('an abort drops what waits and waits for what is on its way', async () => {
    const { cluster, producer, run } = setUp(level, { lingerMs: 60_000, deliveryTimeoutMs: 120_000 })
    cluster.autoCreatePartitions = 0
    const startMs = cluster.world.clock.monotonicMs()
    await run(async () => {
      const transaction = await producer.begin()
      await producer.ready('t')
      const lingering = transaction.send({ topic: 't', partition: 0, value: 'never' })
      const unknown = transaction.send({ topic: 'other', value: 'never' })
      const outcomes = Promise.allSettled([lingering, unknown])
      cluster.autoCreatePartitions = 0
      await transaction.abort()
      for (const outcome of await outcomes) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'TRANSACTION_ABORTED' } })
      }
    })
    expect(cluster.world.clock.monotonicMs() - startMs).toBeLessThan(1000)
    expect(cluster.requests(ApiKey.PRODUCE)).toHaveLength(0)
    await run(() => producer.close())
  })

  test('an abort tells each record of a call once: those on their way what became of them, the others that they were dropped', async () => {
    const { cluster, producer, run } = setUp(level, { bufferMemory: 300, maxBlockMs: 5000 })
    cluster.intercept(ApiKey.PRODUCE, async (request) => {
      await new Promise<void>((resolve) => {
        cluster.world.timers.setTimer(200, resolve)
      })
      return cluster.answer(request)
    })
    const transaction = await run(() => producer.begin())
    const records = Array.from({ length: 6 }, () => ({ topic: 't', partition: 0, value: 'x'.repeat(100) }))
    const outcome = transaction.sendMany(records).catch((error: unknown) => error as PartialDeliveryError)
    await cluster.world.pass(100)
    await run(() => transaction.abort())
    const { errors, delivered } = (await outcome) as PartialDeliveryError
    const storedCount = delivered.filter((place) => place !== null).length
    expect(storedCount).toBeGreaterThan(0)
    expect(errors).toHaveLength(6 - storedCount)
    for (const error of errors) expect(error).toMatchObject({ code: 'TRANSACTION_ABORTED' })
    await run(() => producer.close())
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('leaving the scope says nothing of a fatal error that was met before', async () => {
    const { cluster, producer, run } = setUp(level)
    cluster.intercept(ApiKey.END_TXN, () => createEndTxnResponse({ errorCode: ErrorCode.PRODUCER_FENCED }))
    await run(async () => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value: 'a' })
      await expect(transaction.commit()).rejects.toBeInstanceOf(ProducerFencedError)
      await transaction[Symbol.asyncDispose]()
    })
    await run(() => producer.close())
  })

  test('a newer producer fences the older, for good', async () => {
    const { cluster, producer: zombie, run } = setUp(level)
    // The epoch is above that of Produce: the leader's state learns of it with the marker.
    await run(async () => {
      const stale = await zombie.begin()
      await stale.send({ topic: 't', partition: 0, value: 'stale' })
      const producer = producerOf(cluster)
      const fresh = await producer.begin()
      await fresh.send({ topic: 't', partition: 0, value: 'fresh' })
      await expect(stale.send({ topic: 't', partition: 0, value: 'zombie' })).rejects.toMatchObject({
        errorCode: ErrorCode.INVALID_PRODUCER_EPOCH,
      })
      await expect(stale.commit()).rejects.toBeInstanceOf(ProducerFencedError)
      await expect(stale.abort()).rejects.toMatchObject({ fatal: true, abortable: false })
      await expect(zombie.begin()).rejects.toBeInstanceOf(ProducerFencedError)
      await fresh.commit()
      await producer.close()
    })
    expect(await readCommitted(cluster)).toEqual(['fresh'])
    await run(() => zombie.close())
  })

  test('a transaction that takes too long is aborted by the coordinator, which fences its producer', async () => {
    const { cluster, producer, run } = setUp(level, { transactionTimeoutMs: 1000 })
    const start = async () => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value: 'slow' })
      return transaction
    }
    const transaction = await run(start)
    await cluster.world.pass(2000)
    await expect(run(() => transaction.commit())).rejects.toMatchObject({ fatal: true })
    expect(await readCommitted(cluster)).toEqual([])
    await run(() => producer.close())
  })

  test.each(['request', 'answer'])('the lost %s of a commit is asked for again until it is answered', async (what) => {
    const { cluster, producer, run } = setUp(level)
    let losses = 3
    cluster.intercept(ApiKey.END_TXN, async (request) => {
      if (losses-- <= 0) return null
      if (what === 'answer') await cluster.answer(request)
      return 'break'
    })
    await run(async () => {
      for (const value of ['a', 'b']) {
        const transaction = await producer.begin()
        await transaction.send({ topic: 't', partition: 0, value })
        await transaction.commit()
      }
    })
    expect(await readCommitted(cluster)).toEqual(['a', 'b'])
    await run(() => producer.close())
  })

  test('a commit without an answer in time can be waited for again, and cannot be aborted', async () => {
    const { cluster, producer, run } = setUp(level, IMPATIENT)
    let isDown = true
    endsUnless(cluster, () => isDown)
    await run(async () => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value: 'a' })
      await expect(transaction.commit()).rejects.toMatchObject({ code: 'TIMEOUT', retriable: true })
      await expect(transaction.abort()).rejects.toMatchObject({ code: 'ILLEGAL_STATE' })
      isDown = false
      await transaction.commit()
    })
    expect(await readCommitted(cluster)).toEqual(['a'])
    await run(() => producer.close())
  })

  test('a transaction whose end was not waited for does nothing to the next one', async () => {
    const { cluster, producer, run } = setUp(level, IMPATIENT)
    let isDown = true
    endsUnless(cluster, () => isDown)
    const begin = async (value: string) => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value })
      return transaction
    }
    await run(async () => {
      const committed = await begin('a')
      await expect(committed.commit()).rejects.toMatchObject({ code: 'TIMEOUT' })
      isDown = false
      const aborted = await begin('b')
      // The first is over: this is about the first alone.
      await committed.commit()
      await expect(committed.abort()).rejects.toMatchObject({ code: 'ILLEGAL_STATE' })
      await committed[Symbol.asyncDispose]()
      isDown = true
      await expect(aborted.abort()).rejects.toMatchObject({ code: 'TIMEOUT' })
      isDown = false
      const third = await begin('c')
      await aborted.abort()
      await third.commit()
    })
    expect(await readCommitted(cluster)).toEqual(['a', 'c'])
    await run(() => producer.close())
  })

  test('leaving the scope after the producer was closed is nothing', async () => {
    const { cluster, producer, run } = setUp(level)
    await run(async () => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value: 'never' })
      await producer.close()
      await transaction[Symbol.asyncDispose]()
    })
    expect(await readCommitted(cluster)).toEqual([])
  })

  test('goes on when the coordinator moves between and within transactions', async () => {
    const { cluster, producer, run } = setUp(level, {}, 3)
    await run(async () => {
      for (let round = 0; round < 6; round++) {
        const transaction = await producer.begin()
        cluster.moveCoordinator(1 + (round % 3))
        await transaction.send({ topic: 't', partition: round % 2, value: `v${round}` })
        cluster.moveCoordinator(1 + ((round + 1) % 3))
        await transaction.sendOffsets([{ topic: 'in', partition: 0, offset: round }], GROUP)
        cluster.moveCoordinator(1 + ((round + 2) % 3))
        if (round % 3 === 2) await transaction.abort()
        else await transaction.commit()
      }
    })
    expect(await readCommitted(cluster)).toEqual(['v0', 'v1', 'v3', 'v4'])
    expect(cluster.committed.get('g')!.get('in-0')).toBe(4)
    await run(() => producer.close())
  })

  test('offsets of a member that lost its partitions are refused, and so is the commit', async () => {
    const { cluster, producer, run } = setUp(level)
    await run(async () => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value: 'never' })
      const stale = { ...GROUP, memberId: 'gone', generationId: 3 }
      await expect(transaction.sendOffsets([{ topic: 'in', partition: 0, offset: 1 }], stale)).rejects.toMatchObject({
        abortable: true,
        cause: { errorCode: ErrorCode.UNKNOWN_MEMBER_ID },
      })
      await expect(transaction.commit()).rejects.toMatchObject({ abortable: true })
      await transaction.abort()
    })
    expect(await readCommitted(cluster)).toEqual([])
    await run(() => producer.close())
  })

  test('closing aborts what is open', async () => {
    const { cluster, producer, run } = setUp(level)
    await run(async () => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value: 'never' })
      await producer.close()
      await expect(transaction.commit()).rejects.toMatchObject({ retriable: false })
    })
    await cluster.world.pass(100)
    expect(cluster.transactions.byId.get('x')!.status).toBe('CompleteAbort')
    expect(cluster.world.clientTimerCount).toBe(0)
  })

  test('what the coordinator refuses for good ends the producer, and every waiting record with it', async () => {
    const { cluster, producer, run } = setUp(level)
    cluster.intercept(ApiKey.END_TXN, () =>
      createEndTxnResponse({ errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED }),
    )
    await run(async () => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value: 'a' })
      await expect(transaction.commit()).rejects.toMatchObject({ code: 'TRANSACTION_FATAL', fatal: true })
      await expect(producer.begin()).rejects.toMatchObject({ fatal: true })
    })
    await run(() => producer.close())
  })

  test('a batch that the broker finds too large is cut within the transaction', async () => {
    const { cluster, producer, run } = setUp(level, { lingerMs: 5 })
    cluster.partition('t').maxMessageBytes = 400
    const values = Array.from({ length: 20 }, (_, slot) => `${'v'.repeat(60)}${slot}`)
    await run(async () => {
      for (const half of [values.slice(0, 10), values.slice(10)]) {
        const transaction = await producer.begin()
        await transaction.sendMany(half.map((value) => ({ topic: 't', partition: 0, value })))
        await transaction.commit()
      }
    })
    expect(await readCommitted(cluster)).toEqual([...values].sort())
    await run(() => producer.close())
  })

  test('one transaction at a time', async () => {
    const { producer, run } = setUp(level)
    await run(async () => {
      const [first, second] = await Promise.allSettled([producer.begin(), producer.begin()])
      expect([first!.status, second!.status]).toEqual(['fulfilled', 'rejected'])
      await expect(producer.begin()).rejects.toMatchObject({ code: 'ILLEGAL_STATE' })
    })
    await run(() => producer.close())
  })
})

describe('beginning', () => {
  test('an id that may not be used rejects with the broker’s word and may be tried again', async () => {
    const { cluster, producer, run } = setUp(2)
    let refusals = 1
    cluster.intercept(ApiKey.INIT_PRODUCER_ID, () =>
      refusals-- > 0
        ? createInitProducerIdResponse({ errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, producerId: -1 })
        : null,
    )
    await expect(run(() => producer.initTransactions())).rejects.toMatchObject({
      errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    })
    await run(() => producer.initTransactions())
    await run(() => producer.close())
  })

  test('what an earlier producer left open is ended first', async () => {
    const { cluster, producer: crashed, run } = setUp(2)
    await run(async () => {
      const left = await crashed.begin()
      await left.send({ topic: 't', partition: 0, value: 'left' })
      const producer = producerOf(cluster)
      await producer.initTransactions()
      expect(cluster.partition('t').openTransactions.size).toBe(0)
      await producer.close()
      await crashed.close()
    })
  })

  test('partitions that cannot be added break the transaction', async () => {
    const { cluster, producer, run } = setUp(1)
    cluster.intercept(ApiKey.ADD_PARTITIONS_TO_TXN, ({ body }) =>
      refusedPartitions(body as never, ErrorCode.TOPIC_AUTHORIZATION_FAILED),
    )
    await run(async () => {
      const transaction = await producer.begin()
      await expect(transaction.send({ topic: 't', partition: 0, value: 'a' })).rejects.toMatchObject({
        abortable: true,
        cause: { code: 'TOPIC_AUTHORIZATION_FAILED' },
      })
      // The coordinator never heard of it: there is nothing to end, which is an abort as well.
      await transaction.abort()
    })
    await run(() => producer.close())
  })

  test('a cluster that came to know of implicit transactions gets a new epoch first', async () => {
    const { cluster, producer, run } = setUp(1)
    const round = async (value: string) => {
      const transaction = await producer.begin()
      await transaction.send({ topic: 't', partition: 0, value })
      await transaction.commit()
    }
    await run(() => round('a'))
    cluster.transactionVersion = 2
    for (const broker of cluster.brokers.values()) broker.breakConnections()
    await run(() => producer.partitionCount('new'))
    await run(() => round('b'))
    await run(() => round('c'))
    const bodies = cluster.requests<InitProducerIdRequest>(ApiKey.INIT_PRODUCER_ID).map(({ body }) => body)
    expect(bodies.some(({ producerId }) => Number(producerId) >= 0)).toBe(true)
    expect(await readCommitted(cluster)).toEqual(['a', 'b', 'c'])
    await run(() => producer.close())
  })

  test('offset answers that may pass are asked for again', async () => {
    const { cluster, producer, run } = setUp(2)
    let refusals = 3
    cluster.intercept(ApiKey.TXN_OFFSET_COMMIT, ({ body }) =>
      refusals-- > 0 ? refusedTxnOffsets(body as never, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) : null,
    )
    await run(async () => {
      const transaction = await producer.begin()
      await transaction.sendOffsets([{ topic: 'in', partition: 0, offset: 7 }], GROUP)
      await transaction.commit()
    })
    await cluster.world.pass(100)
    expect(cluster.committed.get('g')!.get('in-0')).toBe(7)
    await run(() => producer.close())
  })
})
