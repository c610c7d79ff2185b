import { Admin, Consumer, type IsolationLevel } from '@millrace/client'
import { CLOSE_LIMIT_MS } from '../client-host.ts'
import { ClientProcess } from './client-process.ts'
import { ALL_PLACES, SETTLERS, TRANSFER_PLACES, textOf } from './places.ts'
import type { TransactionCast } from './transaction-cast.ts'
import type { Reading } from './transaction-ghost.ts'

/** How long one reader reads, and rests between two polls, on average. */
const SHIFT_MS = 10_000
const REST_MS = 150
/** Between two looks at committed offsets, and at transactional ids. */
const OFFSETS_EVERY_MS = 500
const IDS_EVERY_MS = 1_500

/** Reads all partitions, one reader after the other: each begins anew, at the start or somewhere amid what the one before has read. */
export async function readTransactions(cast: TransactionCast, isolationLevel: IsolationLevel): Promise<void> {
  let before: readonly Reading[] = []
  for (let turn = 0; !cast.isOver(); turn++) {
    const process = new ClientProcess(cast.host, `reader-${isolationLevel}-${turn}`)
    const readings = ALL_PLACES.map(({ topic, partition }, slot) => {
      const startOffset = cast.random.integer(0, 1 + (before[slot]?.nextOffset ?? 0))
      return cast.transactions.openReading(topic, partition, startOffset, isolationLevel === 'read_committed')
    })
    before = readings
    await process.own(readOn(cast, process, isolationLevel, readings))
  }
}

async function readOn(
  cast: TransactionCast,
  process: ClientProcess,
  isolationLevel: IsolationLevel,
  readings: readonly Reading[],
): Promise<void> {
  const { world, random, transactions } = cast
  const untilMs = world.nowMs + random.exponential(SHIFT_MS)
  const consumer = new Consumer({
    ...process.options,
    isolationLevel,
    autoOffsetReset: 'earliest',
    enableAutoCommit: false,
  })
  consumer.assign(readings.map(({ topic, partition, startOffset }) => ({ topic, partition, start: startOffset })))
  while (!cast.isOver() && world.nowMs < untilMs) {
    await process.call(`poll of ${isolationLevel}`, async () => {
      for (const { topic, partition, records, nextOffset } of await consumer.poll({ timeoutMs: 500 })) {
        const reading = readings.find((one) => one.topic === topic && one.partition === partition)!
        for (const record of records) transactions.onRead(reading, Number(record.offset), textOf(record))
        reading.nextOffset = Number(nextOffset)
      }
    })
    await process.pass(random.exponential(REST_MS), 'poll')
  }
  await process.call('close', () => consumer.close({ timeoutMs: CLOSE_LIMIT_MS }))
}

/** Somebody outside of the group asks for what it has committed, now only for what is stable, now for what there is. */
export async function lookAtOffsets(cast: TransactionCast): Promise<void> {
  const { host, random } = cast
  const process = new ClientProcess(host, 'offsets-looker')
  const looker = (isolationLevel: IsolationLevel): Consumer =>
    new Consumer({ ...process.options, groupId: SETTLERS, enableAutoCommit: false, isolationLevel })
  const lookers = [looker('read_committed'), looker('read_uncommitted')]
  while (!cast.isOver()) {
    await process.call('look at offsets', async () => {
      const isStable = random.chance(0.5)
      await lookOnce(cast, lookers[isStable ? 0 : 1]!, isStable)
    })
    await process.pass(random.exponential(OFFSETS_EVERY_MS), 'look')
  }
}

/** What the group has committed of its input, by partition. `isStable`: the looker reads committed records only. */
export async function lookOnce(
  cast: TransactionCast,
  looker: Consumer,
  isStable = true,
): Promise<ReadonlyMap<number, number>> {
  const beganMs = cast.world.nowMs
  const wasReplaced = cast.leaders.hasReplaced('__consumer_offsets')
  const committed = await looker.committed(TRANSFER_PLACES)
  const found = new Map(committed.map(({ partition, offset }) => [partition, Number(offset)]))
  const isOld = wasReplaced || cast.leaders.hasReplaced('__consumer_offsets')
  cast.exactlyOnce.check(found, beganMs, isOld || !isStable)
  return found
}

/** An administrator asks what transactional ids are at, and for their list. */
export async function lookAtIds(cast: TransactionCast): Promise<void> {
  const { host, random, transactions, identities } = cast
  const process = new ClientProcess(host, 'ids-looker')
  const admin = new Admin(process.options)
  while (!cast.isOver()) {
    await process.pass(random.exponential(IDS_EVERY_MS), 'look')
    await process.call('look at transactional ids', async () => {
      const wasReplaced = cast.leaders.hasReplaced('__transaction_state')
      const described = await admin.describeTransactions(transactions.transactionalIds)
      const isOld = wasReplaced || cast.leaders.hasReplaced('__transaction_state')
      if (isOld) cast.world.mark('look at ids while a replaced coordinator does not know it')
      for (const one of described) {
        if (one.error === null) identities.onDescribed(one, isOld)
        else if (one.error.code === 'TRANSACTIONAL_ID_NOT_FOUND') identities.onUnknown(one.transactionalId, isOld)
        else throw one.error
      }
    })
    await process.call('list of transactional ids', async () => {
      await admin.listTransactions(random.chance(0.5) ? { states: ['Ongoing'] } : {})
    })
  }
}
