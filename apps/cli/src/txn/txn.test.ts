import { ProtocolError, type TransactionFilter, type TransactionToAbort } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'

const NOT_FOUND = 105
const FENCED = 52

const PRODUCERS = [
  {
    producerId: 7n,
    producerEpoch: 1,
    lastSequence: 4,
    lastTimestampMs: 9,
    coordinatorEpoch: null,
    transactionStartOffset: null,
  },
  {
    producerId: 8n,
    producerEpoch: 2,
    lastSequence: -1,
    lastTimestampMs: 9,
    coordinatorEpoch: 3,
    transactionStartOffset: 42n,
  },
]

describe('millrace txn list', () => {
  const run = async (...args: string[]) => {
    const asked: TransactionFilter[] = []
    const listTransactions = (filter: TransactionFilter = {}) => {
      asked.push(filter)
      return Promise.resolve([{ transactionalId: 'billing-1', producerId: 7n, state: 'Ongoing', coordinator: 2 }])
    }
    return { ...(await runFake(['txn', 'list', ...args], { admin: { listTransactions } })), asked }
  }

  test('asks for everything, and shows it', async () => {
    const { asked, stdout, exitCode } = await run()
    expect([exitCode, asked]).toEqual([ExitCode.OK, [{ states: [], producerIds: [] }]])
    expect(stdout).toMatch(/TRANSACTIONAL ID +STATE +PRODUCER +COORDINATOR\nbilling-1 +Ongoing +7 +2\n/)
  })

  test('passes conditions on, states in any case', async () => {
    const args = ['--state', 'ongoing', '--producer-id', '7', '--longer-than', '15m', '--match', 'b.*', '-o', 'json']
    const { asked, stdout } = await run(...args)
    expect(asked).toEqual([{ states: ['Ongoing'], producerIds: [7n], longerThanMs: 900_000, pattern: 'b.*' }])
    expect(JSON.parse(stdout)).toEqual([
      { transactionalId: 'billing-1', state: 'Ongoing', producerId: 7, coordinator: 2 },
    ])
  })

  test.each([
    ['--state', 'open'],
    ['--producer-id', 'x'],
    ['--longer-than', 'long'],
  ])('refuses %s %s', async (...args) => {
    const { exitCode, asked, stderr } = await run(...args)
    expect([exitCode, asked]).toEqual([ExitCode.USAGE, []])
    expect(stderr).toContain(args[0])
  })
})

describe('millrace txn describe', () => {
  const describeTransactions = (ids: readonly string[]) =>
    Promise.resolve(
      ids.map((transactionalId) => ({
        ...{ transactionalId, state: 'Ongoing', producerId: 7n, producerEpoch: 2, timeoutMs: 60_000 },
        ...{ startMs: 0, coordinator: 1, partitions: [{ topic: 't', partition: 3 }] },
        error: transactionalId === 'gone' ? new ProtocolError(NOT_FOUND) : null,
      })),
    )

  test('shows who, since when and where', async () => {
    const { stdout, exitCode } = await runFake(['txn', 'describe', 'x'], { admin: { describeTransactions } })
    expect(exitCode).toBe(ExitCode.OK)
    expect(stdout).toBe(
      'x: Ongoing, producer 7 epoch 2, began 1970-01-01T00:00:00.000Z, times out after 1 m 0 s, coordinator 1\n  t:3\n',
    )
  })

  test('shows what it finds, and fails for what it does not', async () => {
    const { stdout, stderr, exitCode } = await runFake(['txn', 'describe', 'x', 'gone', '-o', 'json'], {
      admin: { describeTransactions },
    })
    expect(exitCode).not.toBe(ExitCode.OK)
    expect(JSON.parse(stdout)).toMatchObject([{ transactionalId: 'x', partitions: ['t:3'], startMs: 0 }])
    expect(stderr).toContain('TRANSACTIONAL_ID_NOT_FOUND')
  })
})

function fakeProducers(abortError: Error | null = null) {
  const aborted: TransactionToAbort[] = []
  const partitions = [0, 1].map((partition) => ({
    ...{ partition, leader: 1, leaderEpoch: 0, replicas: [1], isr: [1], offlineReplicas: [] },
  }))
  const admin = {
    listTopics: () => Promise.resolve([{ name: 't' }] as never),
    describeTopics: () => Promise.resolve([{ name: 't', error: null, partitions }] as never),
    describeProducers: (wanted: readonly { topic: string; partition: number }[]) =>
      Promise.resolve(wanted.map((place) => ({ ...place, producers: PRODUCERS, error: null }))),
    abortTransaction: (transaction: TransactionToAbort) => {
      aborted.push(transaction)
      return abortError === null ? Promise.resolve() : Promise.reject(abortError)
    },
  }
  return { admin, aborted }
}

describe('millrace txn producers', () => {
  test('shows all of a topic, or those with an open transaction', async () => {
    const { admin } = fakeProducers()
    const all = await runFake(['txn', 'producers', 't', '-o', 'json'], { admin })
    expect(JSON.parse(all.stdout)).toHaveLength(4)
    const open = await runFake(['txn', 'producers', 't:1', '--open'], { admin })
    expect(open.stdout).toMatch(/^TOPIC .*OPEN SINCE OFFSET\nt +1 +8 +2 .* 42\n$/)
  })
})

describe('millrace txn abort', () => {
  const target = { topic: 't', partition: 1, producerId: 8n, producerEpoch: 2, coordinatorEpoch: 3 }

  test.each([
    ['--start-offset', '42'],
    ['--producer-id', '8'],
  ])('aborts the open transaction with %s %s', async (...args) => {
    const { admin, aborted } = fakeProducers()
    const run = await runFake(['txn', 'abort', 't:1', ...args], { admin })
    expect([run.exitCode, aborted]).toEqual([ExitCode.OK, [target]])
    expect(run.stdout).toBe('aborted the transaction of producer 8 from offset 42 on\n')
  })

  test.each([
    ['no transaction named', ['t:1'], ExitCode.USAGE],
    ['two ways of naming', ['t:1', '--producer-id', '8', '--start-offset', '42'], ExitCode.USAGE],
    ['several partitions', ['t', '--producer-id', '8'], ExitCode.USAGE],
    ['a producer without open transaction', ['t:1', '--producer-id', '7'], ExitCode.ERROR],
    ['nothing that begins there', ['t:1', '--start-offset', '41'], ExitCode.ERROR],
  ])('aborts nothing with %s', async (_, args, exitCode) => {
    const { admin, aborted } = fakeProducers()
    const run = await runFake(['txn', 'abort', ...args], { admin })
    expect([run.exitCode, aborted]).toEqual([exitCode, []])
    expect(run.stderr).not.toBe('')
  })

  test('fails where the partition refuses', async () => {
    const { admin } = fakeProducers(new ProtocolError(FENCED))
    const run = await runFake(['txn', 'abort', 't:1', '--producer-id', '8'], { admin })
    expect(run.exitCode).not.toBe(ExitCode.OK)
    expect(run.stderr).toContain('TRANSACTION_COORDINATOR_FENCED')
  })
})
