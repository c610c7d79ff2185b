import type { FaultSpan, History, Key, Operation } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'
import type { LogModel } from './log-model.ts'
import { unheardOf } from './share-excuses.ts'
import { type Delivery, type Said, type ShareGroupModel, shareGroupsOf } from './share-model.ts'

/** What a lock lasts less than it should, as far as anybody relies on it. */
const LOCK_SLACK_MS = 200
/** For how long after a fault some node may still believe that it leads. */
const STALE_MS = 10_000

/**
 * Holds what members of share groups were handed out against what they said of it: nothing is handed out more often than it may be, or to
 * two at a time, or when it is done with; and the group is done with nothing that nobody was handed out, or gave up before its time.
 * That nothing is handed out that was not sent, or was aborted, is judged with all other logs.
 */
export function checkShares(
  { faults }: History,
  operations: readonly Operation[],
  model: LogModel,
  findings: Findings,
): void {
  for (const group of shareGroupsOf(operations, model, faults)) {
    for (const [key, offsets] of group.deliveries)
      for (const [offset, deliveries] of offsets) {
        const what = `${group.group} ${key} offset ${offset}`
        checkCounts(what, deliveries, group, findings)
        checkHolds(what, deliveries, group, faults, findings)
        checkDone(what, deliveries, group, faults, findings)
      }
    for (const [key, steps] of group.progress) checkAll(group, key, steps, model, faults, findings)
  }
}

function checkCounts(what: string, deliveries: readonly Delivery[], { rules }: ShareGroupModel, findings: Findings) {
  for (const { member, count } of deliveries)
    if (count < 1 || count > rules.deliveryLimit)
      findings.add(
        'overdelivered',
        `${what}: ${member} was told that it is delivery ${count} of ${rules.deliveryLimit}`,
      )
}

/** What was said and taken while the lock could not have run out: until then the record was its member's. */
function surelyTaken({ said, earliestMs }: Delivery, { rules }: ShareGroupModel): Said | null {
  return said !== null && said.takenMs <= earliestMs + rules.lockMs - LOCK_SLACK_MS ? said : null
}

/** A record that was its member's from when it was told until it said something of it, or its lock may have run out. */
interface Hold {
  readonly delivery: Delivery
  readonly untilMs: number
  readonly isTaken: boolean
}

/**
 * What is taken was its member's, if its lock cannot have run out. What is refused was said in a session that lasted, so nothing but the lock's
 * end can have taken it away. A leader that went away and came back within a hold has forgotten it, and takes what is said of a record that
 * is done with by then: holds in which brokers were broken are not judged, nor refusals about the time of any fault.
 */
function holdOf(delivery: Delivery, { rules }: ShareGroupModel, faults: readonly FaultSpan[]): Hold | null {
  const { said, toldMs, earliestMs } = delivery
  if (said === null) return null
  const lockEndMs = earliestMs + rules.lockMs - LOCK_SLACK_MS
  if (said.takenMs <= lockEndMs) {
    const isSpoiled = faults.some((fault) => isOfBrokers(fault) && meets(fault, toldMs, said.takenMs))
    return isSpoiled ? null : { delivery, untilMs: said.saidMs, isTaken: true }
  }
  if (!Number.isFinite(said.refusedMs) || faults.some((fault) => meets(fault, toldMs - STALE_MS, said.refusedMs)))
    return null
  return { delivery, untilMs: Math.min(said.saidMs, lockEndMs), isTaken: false }
}

/** Deliveries are compared by their counts, since nobody sees when a broker gives something away. */
function checkHolds(
  what: string,
  deliveries: readonly Delivery[],
  group: ShareGroupModel,
  faults: readonly FaultSpan[],
  findings: Findings,
): void {
  if (deliveries.length < 2) return
  const holds = deliveries.flatMap((delivery) => holdOf(delivery, group, faults) ?? [])
  for (const { delivery, untilMs, isTaken } of holds) {
    const isWithin = ({ toldMs }: Delivery) => toldMs >= delivery.toldMs && toldMs < untilMs
    const isSame = (other: Hold) => isTaken && other.isTaken && other.delivery.count === delivery.count
    const second =
      deliveries.find((other) => other.count > delivery.count && isWithin(other)) ??
      holds.find((other) => other.delivery !== delivery && isSame(other) && isWithin(other.delivery))?.delivery
    if (second === undefined) continue
    findings.add(
      'held-twice',
      `${what}: ${delivery.member} had it from ${delivery.toldMs} to ${untilMs} ms (delivery ${delivery.count}), and ${second.member} was given it at ${second.toldMs} ms (delivery ${second.count})`,
    )
  }
}

/** A leader that was replaced and cannot know it yet has not heard what the other was told, so what it gives away is not judged. */
function checkDone(
  what: string,
  deliveries: readonly Delivery[],
  group: ShareGroupModel,
  faults: readonly FaultSpan[],
  findings: Findings,
): void {
  const stale = faults.filter((fault) => isOfBrokers(fault) && !fault.kind.startsWith('kill-'))
  for (const first of deliveries) {
    const said = surelyTaken(first, group)
    if (said === null || said.verdict === 'release') continue
    const again = deliveries.find(
      ({ earliestMs, toldMs }) =>
        earliestMs > said.takenMs && !stale.some((fault) => meets(fault, earliestMs - STALE_MS, toldMs)),
    )
    if (again === undefined) continue
    const { member, toldMs, count } = again
    findings.add(
      'delivered-again',
      `${what}: ${said.verdict} of ${first.member} was taken at ${said.takenMs} ms, and ${member} was given it at ${toldMs} ms (delivery ${count})`,
    )
  }
}

/** Every record that can be read, as far as the group is known to be done with all. */
function checkAll(
  group: ShareGroupModel,
  key: Key,
  steps: readonly { readonly ms: number; readonly offset: number }[],
  model: LogModel,
  faults: readonly FaultSpan[],
  findings: Findings,
): void {
  const { deliveryLimit } = group.rules
  const log = model.log(key)
  let slot = 0
  for (const offset of log.order) {
    while (slot < steps.length && steps[slot]!.offset <= offset) slot++
    const step = steps[slot]
    if (step === undefined) return
    const deliveries = group.deliveries.get(key)?.get(offset) ?? []
    if (deliveries.some(({ said }) => said !== null && said.verdict !== 'release')) continue
    const count = Math.max(0, ...deliveries.map((delivery) => delivery.count))
    const value = log.valueAt(offset) ?? ''
    const sinceMs = deliveries.at(-1)?.toldMs ?? log.sent.get(value)?.operation.invokedMs ?? 0
    if (deliveryLimit - count <= unheardOf(group, faults, sinceMs, step.ms)) continue
    const message = `${group.group} was done with ${value}, ${key} offset ${offset}, at ${step.ms} ms at the latest`
    if (count === 0) findings.add('undelivered', `${message}, and nobody was given it`)
    else findings.add('given-up-early', `${message}, after delivery ${count} of ${deliveryLimit}, at ${sinceMs} ms`)
  }
}

/** Faults of clients and of their connections move no leader. */
function isOfBrokers({ kind }: FaultSpan): boolean {
  return !kind.endsWith('-clients')
}

function meets({ beginMs, endMs }: FaultSpan, fromMs: number, toMs: number): boolean {
  return beginMs < toMs && endMs > fromMs
}
