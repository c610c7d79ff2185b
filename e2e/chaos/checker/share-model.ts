import type {
  AcknowledgeOperation,
  AcquireOperation,
  FaultSpan,
  Key,
  Operation,
  Place,
  ShareProgressOperation,
  ShareRules,
  ShareVerdict,
} from '../history/operation.ts'
import type { LogModel } from './log-model.ts'

/** What its member said of a record that it was handed out. */
export interface Said {
  readonly verdict: ShareVerdict
  readonly saidMs: number
  /** When it was answered that the group knows; Infinity: never, so far as anybody heard. */
  readonly takenMs: number
  /** When it was answered that it is not its member's, in a session that lasted; Infinity: never. */
  readonly refusedMs: number
}

/** A record as it was handed out to somebody. */
export interface Delivery {
  readonly member: string
  readonly count: number
  /** The broker gave it away within `[earliestMs, toldMs]`. */
  readonly earliestMs: number
  readonly toldMs: number
  said: Said | null
}

/** One life of one member. */
export interface Life {
  readonly joinedMs: number
  readonly polls: AcquireOperation[]
}

/** What a history tells of one share group. */
export interface ShareGroupModel {
  readonly group: string
  readonly rules: ShareRules
  readonly lives: Map<string, Life>
  /** By log and offset, in the order in which members were told. */
  readonly deliveries: Map<Key, Map<number, Delivery[]>>
  /** By log: when it was known that the group is done with everything before an offset. Both rise. */
  readonly progress: Map<Key, { readonly ms: number; readonly offset: number }[]>
}

/** The share groups of a history, of which at least one member was there. */
export function shareGroupsOf(
  operations: readonly Operation[],
  model: LogModel,
  faults: readonly FaultSpan[],
): ShareGroupModel[] {
  const groups = new Map<string, ShareGroupModel>()
  const pauses = faults.filter(({ kind }) => kind === 'pause-clients')
  const acknowledgedEnds = acknowledgedEndsOf(operations)
  for (const operation of operations) {
    if (operation.kind === 'join') {
      const { group, rules, process, invokedMs } = operation
      const entry = groups.get(group) ?? {
        group,
        rules,
        lives: new Map(),
        deliveries: new Map(),
        progress: new Map(),
      }
      groups.set(group, entry)
      entry.lives.set(process, { joinedMs: invokedMs, polls: [] })
    } else if (operation.kind === 'acquire') {
      const group = groups.get(operation.group)
      if (group !== undefined) onAcquired(group, operation, model, pauses)
    } else if (operation.kind === 'acknowledge') {
      const group = groups.get(operation.group)
      if (group !== undefined) onAcknowledged(group, operation)
    } else if (operation.kind === 'share-progress' && operation.outcome === 'ok') {
      const group = groups.get(operation.group)
      if (group !== undefined) onProgress(group, operation, acknowledgedEnds)
    }
  }
  for (const { deliveries } of groups.values())
    for (const offsets of deliveries.values())
      for (const list of offsets.values()) list.sort((left, right) => left.toldMs - right.toldMs)
  return [...groups.values()]
}

function onAcquired(
  { rules, lives, deliveries }: ShareGroupModel,
  operation: AcquireOperation,
  model: LogModel,
  pauses: readonly FaultSpan[],
): void {
  const { process, outcome, records, completedMs } = operation
  const life = lives.get(process)
  if (life === undefined) return
  const askedMs = earliestAsked(life, rules, completedMs, pauses)
  life.polls.push(operation)
  if (outcome !== 'ok') return
  for (const { key, offset, value, count } of records) {
    const sentMs = model.log(key).sent.get(value)?.operation.invokedMs ?? 0
    const delivery = { member: process, count, earliestMs: Math.max(askedMs, sentMs), toldMs: completedMs, said: null }
    const offsets = deliveries.get(key) ?? new Map<number, Delivery[]>()
    deliveries.set(key, offsets)
    const list = offsets.get(offset)
    if (list === undefined) offsets.set(offset, [delivery])
    else list.push(delivery)
  }
}

/**
 * Before which no broker was asked for what a poll gave that ended at `toldMs`. Libraries fetch within a poll, and give what comes after its end
 * to the next one. Two are looked back, as a poll may stop at the answer of one broker. Fetches of a program that is paused wait with it.
 */
function earliestAsked(
  { joinedMs, polls }: Life,
  { fetchMs, maxPollRecords }: ShareRules,
  toldMs: number,
  pauses: readonly FaultSpan[],
): number {
  const last = polls.slice(-2)
  const before = last[0]
  if (before === undefined || last.length < 2) return joinedMs
  if (last.some(({ records }) => records.length >= maxPollRecords)) return joinedMs
  const fromMs = (before.outcome === 'ok' ? before.completedMs : before.invokedMs) - fetchMs
  return pauses.some(({ beginMs, endMs }) => beginMs < toldMs && endMs > fromMs) ? joinedMs : Math.max(joinedMs, fromMs)
}

function onAcknowledged(group: ShareGroupModel, operation: AcknowledgeOperation): void {
  const { process, verdicts, taken, refused = [], invokedMs, completedMs, outcome } = operation
  const namesOf = (places: readonly Place[]) =>
    new Set(outcome === 'ok' ? places.map(({ key, offset }) => `${key}@${offset}`) : [])
  const takenNames = namesOf(taken)
  const refusedNames = namesOf(refused)
  for (const { key, offset, verdict } of verdicts) {
    const delivery = group.deliveries
      .get(key)
      ?.get(offset)
      ?.findLast(({ member, said }) => member === process && said === null)
    if (delivery === undefined) continue
    const msIn = (names: ReadonlySet<string>) =>
      names.has(`${key}@${offset}`) ? completedMs : Number.POSITIVE_INFINITY
    delivery.said = { verdict, saidMs: invokedMs, takenMs: msIn(takenNames), refusedMs: msIn(refusedNames) }
  }
}

/** What coordinators tell may be old, so it is never taken back. */
function onProgress(
  { progress }: ShareGroupModel,
  { places, drained, invokedMs, completedMs }: ShareProgressOperation,
  acknowledgedEnds: ReadonlyMap<Key, readonly { ms: number; end: number }[]>,
): void {
  const ends = new Map(places.map(({ key, offset }) => [key, offset]))
  for (const key of drained) {
    // What was stored before it was asked belongs to all that it is done with.
    const known = acknowledgedEnds.get(key)?.findLast(({ ms }) => ms < invokedMs)
    ends.set(key, Math.max(ends.get(key) ?? 0, known?.end ?? 0))
  }
  for (const [key, offset] of ends) {
    const steps = progress.get(key) ?? []
    progress.set(key, steps)
    if (offset > (steps.at(-1)?.offset ?? 0)) steps.push({ ms: completedMs, offset })
  }
}

/** By log: until when which end was acknowledged. Both rise. */
function acknowledgedEndsOf(operations: readonly Operation[]): Map<Key, { ms: number; end: number }[]> {
  const ends = new Map<Key, { ms: number; end: number }[]>()
  const sent = operations.filter(({ kind, outcome }) => (kind === 'send' || kind === 'txn') && outcome === 'ok')
  for (const operation of sent.sort((left, right) => left.completedMs - right.completedMs)) {
    if (operation.kind !== 'send' && operation.kind !== 'txn') continue
    for (const step of operation.steps) {
      if (step.step !== 'send' || step.offset === null) continue
      const steps = ends.get(step.key) ?? []
      ends.set(step.key, steps)
      if (step.offset >= (steps.at(-1)?.end ?? 0)) steps.push({ ms: operation.completedMs, end: step.offset + 1 })
    }
  }
  return ends
}
