import type { RandomStream } from '../../world/random-stream.ts'
import { ClientProcess } from './client-process.ts'
import { PARTITION_COUNT, TRANSFERS } from './places.ts'
import type { TransactionCast } from './transaction-cast.ts'
import { type OpenTransaction, TransactionDriver } from './transaction-driver.ts'
import { type Shift, workByTurns } from './turns.ts'

/** Milliseconds between two transactions of a producer, and how long one of them alone is at work, on average. */
const REST_MS = 250
const SHIFT_MS = 7_000
/** A transaction has up to so many records, some of them after a pause. */
const RECORDS_MAX = 7
const PAUSES = 0.3
const PAUSE_MS = 60
const ABORTS = 0.25
/** Some wait before their end, some of these for so long that they run out of time. */
const STALLS = 0.06
const STALL_MS = 3_000
const TIMEOUTS_MS = [1_500, 4_000, 10_000]
/** Longest that a transaction of any producer may take. */
export const LONGEST_TIMEOUT_MS = 10_000

/** Writes transactions over the partitions of a topic, commits some, aborts some, and leaves some for others to end. */
export function produceTransfers(cast: TransactionCast, number: number): Promise<void> {
  const { host, random, isOver } = cast
  const transactionalId = `transfers-${number}`
  return workByTurns({
    ...{ host, random, isOver },
    name: `${transactionalId}-watcher`,
    shiftMs: SHIFT_MS,
    start: (turn) => startShift(cast, transactionalId, new ClientProcess(host, `${transactionalId}-${turn}`)),
  })
}

function startShift(cast: TransactionCast, transactionalId: string, process: ClientProcess): Shift {
  const driver = new TransactionDriver({
    ...{ process, transactionalId },
    world: cast.world,
    ghost: cast.transactions,
    transactionTimeoutMs: cast.random.pick(TIMEOUTS_MS),
    deliveryTimeoutMs: cast.options.deliveryTimeoutMs,
    leaders: cast.leaders,
  })
  return { process, over: process.own(work(cast, process, driver)) }
}

async function work(
  { world, random }: TransactionCast,
  process: ClientProcess,
  driver: TransactionDriver,
): Promise<void> {
  let goesOn = await driver.init()
  while (goesOn && !process.isLeaving) {
    await process.pass(random.exponential(REST_MS), 'transfer')
    const outcome = await driver.transact((open) => fill(open, process, random))
    world.mark(`transaction ${outcome}`)
    goesOn = !driver.isOver
  }
  if (goesOn) await driver.close()
  else process.end()
}

async function fill(open: OpenTransaction, process: ClientProcess, random: RandomStream): Promise<'commit' | 'abort'> {
  const count = random.integer(1, RECORDS_MAX + 1)
  for (let slot = 0; slot < count; slot++) {
    open.send(TRANSFERS, random.integer(0, PARTITION_COUNT))
    if (random.chance(PAUSES)) await process.pass(random.exponential(PAUSE_MS), 'pause')
  }
  if (random.chance(STALLS)) await process.pass(random.exponential(STALL_MS), 'stall')
  return random.chance(ABORTS) ? 'abort' : 'commit'
}
