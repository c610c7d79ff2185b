import { Admin, Consumer, type IsolationLevel, type TopicPartition } from '@millrace/client'
import { must } from '../../world/violation.ts'
import { ClientProcess } from './client-process.ts'
import { ALL_PLACES, PARTITION_COUNT, SETTLEMENT_PLACES, SETTLERS, TRANSFER_PLACES, textOf } from './places.ts'
import { startSettler } from './settlers.ts'
import type { StableOffsetGhost } from './stable-offset-ghost.ts'
import type { TransactionCast } from './transaction-cast.ts'
import { TransactionDriver } from './transaction-driver.ts'
import { lookOnce } from './transaction-readers.ts'
import { LONGEST_TIMEOUT_MS } from './transfer-producers.ts'

const LOOK_MS = 100
/** Whoever still works ends within this. */
const END_LIMIT_MS = 60_000
/** A transaction that nobody ends is over so long after its time: the coordinator looks twice a second, and all nodes are well. */
const SLACK_MS = 5_000
const DRAIN_LIMIT_MS = 60_000

export interface Rest {
  readonly cast: TransactionCast
  readonly stableOffsets: StableOffsetGhost
  /** No client is at work any more. */
  readonly isQuiet: () => boolean
}

/**
 * Nothing goes wrong any more and nobody writes: transactions that were left open come to their end (T6), what is not settled yet is, and
 * then everything is read by both kinds of readers and compared.
 */
export async function checkAtRest({ cast, stableOffsets, isQuiet }: Rest): Promise<void> {
  const { transactions, exactlyOnce, host } = cast
  const process = new ClientProcess(host, 'last-reader')
  await until(cast, process, 'L3', END_LIMIT_MS, isQuiet, () => 'clients of transactions are still at work')
  // By a clock that was set a transaction may have begun long from now: then it is ended as their operator would, by another producer.
  if (cast.world.faults.has('clock jump')) await takeOver(cast)
  // A damaged batch may name a producer that there is not, whose transaction stays open until somebody reads that far.
  if (cast.world.faults.has('rot of records')) await readAll(process, ALL_PLACES, 'read_uncommitted')
  const isStable = (): boolean => stableOffsets.unstable().length === 0
  const unstable = (): string => `readers are held back in ${stableOffsets.unstable().join(', ')}`
  await until(cast, process, 'T6', LONGEST_TIMEOUT_MS + SLACK_MS, isStable, unstable)

  const input = await readAll(process, TRANSFER_PLACES, 'read_committed')
  const committed = await drain(cast, process, input)
  await until(cast, process, 'T6', SLACK_MS, isStable, unstable)
  await until(
    cast,
    process,
    'S4',
    SLACK_MS,
    () => stableOffsets.difference() === null,
    () => stableOffsets.difference()!,
  )
  await checkIds(cast, process)

  const visible = await readAll(process, ALL_PLACES, 'read_committed')
  const stored = await readAll(process, ALL_PLACES, 'read_uncommitted')
  for (const { topic, partition } of ALL_PLACES) {
    const key = `${topic}-${partition}`
    transactions.checkPartition(topic, partition, visible.get(key)!, stored.get(key)!)
  }
  transactions.checkOutcomes()
  const outputs = SETTLEMENT_PLACES.flatMap(({ topic, partition }) => [
    ...visible.get(`${topic}-${partition}`)!.values(),
  ])
  for (const { topic, partition } of TRANSFER_PLACES) {
    exactlyOnce.checkComplete(partition, visible.get(`${topic}-${partition}`)!, outputs, committed.get(partition) ?? 0)
  }
}

/** Each id gets another producer, which ends what was left open. */
async function takeOver(cast: TransactionCast): Promise<void> {
  for (const transactionalId of cast.transactions.transactionalIds) {
    const process = new ClientProcess(cast.host, `${transactionalId}-last`)
    const driver = new TransactionDriver({
      ...{ process, transactionalId },
      world: cast.world,
      ghost: cast.transactions,
      transactionTimeoutMs: LONGEST_TIMEOUT_MS,
      deliveryTimeoutMs: cast.options.deliveryTimeoutMs,
      leaders: cast.leaders,
    })
    must(await driver.init(), 'L3', () => `${transactionalId} cannot be taken over`)
    await driver.close()
  }
}

/** All of the input is settled. Gives what is committed of it then, by partition. */
async function drain(
  cast: TransactionCast,
  process: ClientProcess,
  input: ReadonlyMap<string, ReadonlyMap<number, string>>,
): Promise<ReadonlyMap<number, number>> {
  const ends = new Map<number, number>()
  for (const { topic, partition } of TRANSFER_PLACES) {
    const last = [...input.get(`${topic}-${partition}`)!.keys()].at(-1)
    if (last !== undefined) ends.set(partition, last + 1)
  }
  const looker = new Consumer({
    ...process.options,
    groupId: SETTLERS,
    isolationLevel: 'read_committed',
    enableAutoCommit: false,
  })
  const isDone = (committed: ReadonlyMap<number, number>): boolean =>
    [...ends].every(([partition, end]) => (committed.get(partition) ?? 0) >= end)
  const limitMs = cast.world.nowMs + DRAIN_LIMIT_MS
  for (let turn = 0; ; turn++) {
    const settler = startSettler(cast, `settler-${turn % PARTITION_COUNT}`, `settler-last-${turn}`)
    let isWorking = true
    void settler.over.then(() => {
      isWorking = false
    })
    let committed = await lookOnce(cast, looker)
    while (isWorking && !isDone(committed)) {
      must(cast.world.nowMs < limitMs, 'L4', () => `of ${[...ends]} only ${[...committed]} is settled`)
      await process.pass(LOOK_MS, 'drain')
      committed = await lookOnce(cast, looker)
    }
    settler.process.leave()
    await settler.over
    if (isDone(committed)) return lookOnce(cast, looker)
  }
}

/** No transactional id is busy, and all that were known still are. */
async function checkIds(cast: TransactionCast, process: ClientProcess): Promise<void> {
  const admin = new Admin(process.options)
  const { transactionalIds } = cast.transactions
  const limitMs = cast.world.nowMs + SLACK_MS
  for (;;) {
    const described = await admin.describeTransactions(transactionalIds)
    const busy: string[] = []
    for (const one of described) {
      const { transactionalId, error, state } = one
      if (error === null) cast.identities.onDescribed(one)
      else if (error.code === 'TRANSACTIONAL_ID_NOT_FOUND') cast.identities.onUnknown(transactionalId)
      if (error === null ? !/^(Empty|Complete)/.test(state) : error.code !== 'TRANSACTIONAL_ID_NOT_FOUND')
        busy.push(`${transactionalId} is ${error?.code ?? state}`)
    }
    if (busy.length === 0) return
    must(cast.world.nowMs < limitMs, 'T6', () => `at rest ${busy.join(', ')}`)
    await process.pass(LOOK_MS, 'ids')
  }
}

/** Contents of partitions, by topic and number with a dash between. */
async function readAll(
  process: ClientProcess,
  places: readonly TopicPartition[],
  isolationLevel: IsolationLevel,
): Promise<ReadonlyMap<string, ReadonlyMap<number, string>>> {
  const consumer = new Consumer({
    ...process.options,
    isolationLevel,
    autoOffsetReset: 'earliest',
    enableAutoCommit: false,
  })
  const read = new Map<string, Map<number, string>>()
  for (const place of places) {
    const contents = new Map<number, string>()
    read.set(`${place.topic}-${place.partition}`, contents)
    const [end] = await consumer.findOffsets([place], 'latest')
    const endOffset = end?.offset ?? 0n
    consumer.assign([{ ...place, start: 0 }])
    while ((await consumer.position(place)) < endOffset) {
      for (const { records } of await consumer.poll({ timeoutMs: LOOK_MS })) {
        for (const record of records) contents.set(Number(record.offset), textOf(record))
      }
    }
  }
  await consumer.close()
  return read
}

async function until(
  { world }: TransactionCast,
  process: ClientProcess,
  invariant: string,
  limitMs: number,
  isDone: () => boolean,
  what: () => string,
): Promise<void> {
  const endMs = world.nowMs + limitMs
  world.judge(invariant)
  while (!isDone()) {
    must(world.nowMs <= endMs, invariant, () => `after ${limitMs} ms ${what()}`)
    await process.pass(LOOK_MS, 'rest')
  }
}
