import { type Acknowledged, type History, type ProducerHistory, partitionOf, type Stored, textOf } from './history.ts'
import { Problems } from './problems.ts'

export interface Allowances {
  /** The machine may have lost its power: what only the leader acknowledged may be gone, and its offsets given to other records. */
  readonly unsyncedLoss?: boolean
  /**
   * What retention leaves of each partition at least, in bytes of values. Without it no partition may start anywhere but at 0: a start
   * that recovery moved would make lost records look like removed ones.
   */
  readonly retainedBytes?: number
}

/** A stored record whose value was understood. */
interface Known {
  readonly sequence: number
  readonly partition: number
  readonly offset: number
}

/**
 * Holds what was read back against what was acknowledged; the answer lists everything that is wrong, nothing if all is well.
 *
 * - Offsets of a partition rise by one from its start, and each value is one that a producer sent there.
 * - A partition starts at 0, or where retention has left as much as it must.
 * - An acknowledged record is stored, at the offset that its acknowledgement named if it named one, unless retention removed that offset.
 * - An idempotent producer's records are stored once and in the order sent.
 * - A plain producer's may be stored again by a retry, but first appearances and acknowledged offsets keep the order.
 */
export function checkHistory(history: History, allowances: Allowances = {}): string[] {
  const { unsyncedLoss = false } = allowances
  const { producers, stored, startOffsets = [] } = history
  const problems = new Problems()
  checkOffsets(stored, startOffsets, problems)
  checkStarts(stored, startOffsets, allowances, problems)
  const known = new Map<string, Known[]>(producers.map(({ name }) => [name, []]))
  for (const record of stored) {
    const producer = producers.find(({ name }) => record.value.startsWith(`${name}:`))
    const sequence = Number(record.value.split(':')[1])
    if (producer && isSent(producer, sequence, record)) known.get(producer.name)?.push({ ...record, sequence })
    else
      problems.add('never sent', `partition ${record.partition} offset ${record.offset}: ${record.value.slice(0, 40)}`)
  }
  for (const producer of producers) {
    const records = known.get(producer.name) ?? []
    const bySequence = new Map<number, Known[]>()
    for (const record of records) {
      const same = bySequence.get(record.sequence)
      if (same) same.push(record)
      else bySequence.set(record.sequence, [record])
    }
    if (producer.kind !== 'leader' || !unsyncedLoss) checkAcknowledged(producer, bySequence, startOffsets, problems)
    checkStored(producer, bySequence, problems)
  }
  return problems.list()
}

function isSent({ name, sentCount }: ProducerHistory, sequence: number, { partition, value }: Stored): boolean {
  return (
    Number.isInteger(sequence) &&
    sequence < sentCount &&
    partition === partitionOf(sequence) &&
    value === textOf(name, sequence)
  )
}

function checkOffsets(stored: readonly Stored[], startOffsets: readonly number[], problems: Problems): void {
  const next = new Map<number, number>()
  for (const { partition, offset } of stored) {
    const expected = next.get(partition) ?? startOffsets[partition] ?? 0
    if (offset !== expected) problems.add('gap', `partition ${partition}: offset ${offset} where ${expected} was due`)
    next.set(partition, offset + 1)
  }
}

/** Records that are missing at the front must have been retention's to remove. */
function checkStarts(
  stored: readonly Stored[],
  startOffsets: readonly number[],
  { retainedBytes }: Allowances,
  problems: Problems,
): void {
  for (const [partition, startOffset] of startOffsets.entries()) {
    if (startOffset === 0) continue
    if (retainedBytes === undefined) {
      problems.add('removed', `partition ${partition} starts at ${startOffset}, and nothing was to be removed`)
      continue
    }
    let keptBytes = 0
    for (const record of stored) if (record.partition === partition) keptBytes += record.value.length
    if (keptBytes < retainedBytes)
      problems.add('removed', `partition ${partition} starts at ${startOffset}, with ${keptBytes} bytes behind it`)
  }
}

function checkAcknowledged(
  { name, acknowledged }: ProducerHistory,
  bySequence: ReadonlyMap<number, readonly Known[]>,
  startOffsets: readonly number[],
  problems: Problems,
): void {
  const oldest = oldestBySequence(bySequence)
  for (const { sequence, partition, offset } of acknowledged) {
    const found = bySequence.get(sequence) ?? []
    const startOffset = startOffsets[partition] ?? 0
    // Without an offset, a record is taken for removed if it is older than all of its producer that are left there.
    const isRemoved =
      offset === null
        ? startOffset > 0 && sequence < (oldest.get(partition) ?? Number.POSITIVE_INFINITY)
        : offset < startOffset
    if (isRemoved) continue
    if (found.length === 0)
      problems.add('lost', `${name} ${sequence}, acknowledged at partition ${partition} offset ${offset}`)
    else if (offset !== null && !found.some((record) => record.offset === offset)) {
      problems.add(
        'moved',
        `${name} ${sequence}: acknowledged at ${offset}, stored at ${found.map((record) => record.offset)}`,
      )
    }
  }
  const inOrder = acknowledged
    .filter((record): record is Acknowledged & Known => record.offset !== null)
    .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  checkRising('acknowledged out of order', name, inOrder, problems)
}

/** The least sequence that is stored of each partition. */
function oldestBySequence(bySequence: ReadonlyMap<number, readonly Known[]>): Map<number, number> {
  const oldest = new Map<number, number>()
  for (const [sequence, [first]] of bySequence) {
    const partition = (first as Known).partition
    if (sequence < (oldest.get(partition) ?? Number.POSITIVE_INFINITY)) oldest.set(partition, sequence)
  }
  return oldest
}

function checkStored(
  { name, kind }: ProducerHistory,
  bySequence: ReadonlyMap<number, readonly Known[]>,
  problems: Problems,
): void {
  if (kind === 'idempotent') {
    for (const [sequence, found] of bySequence) {
      if (found.length > 1) problems.add('repeated', `${name} ${sequence} at ${found.map(({ offset }) => offset)}`)
    }
  }
  const firsts = [...bySequence.values()].map(([first]) => first as Known)
  checkRising('out of order', name, firsts, problems)
}

/** Sequences must rise with the offsets of each partition. Pre: `records` come in the order of offsets within a partition. */
function checkRising(kind: string, name: string, records: readonly Known[], problems: Problems): void {
  const last = new Map<number, number>()
  for (const { partition, sequence, offset } of records) {
    const before = last.get(partition) ?? -1
    if (sequence <= before)
      problems.add(kind, `${name} ${sequence} after ${before} at partition ${partition} offset ${offset}`)
    last.set(partition, sequence)
  }
}
