import { type Acknowledged, type History, type ProducerHistory, partitionOf, type Stored, textOf } from './history.ts'

/** A stored record whose value was understood. */
interface Known {
  readonly sequence: number
  readonly partition: number
  readonly offset: number
}

/** At most so many problems are told of one kind: thousands of lost records are one fault. */
const toldOfAKind = 5

/**
 * Holds what was read back against what was acknowledged; the answer lists everything that is wrong, nothing if all is well.
 *
 * - Offsets of a partition rise by one, and each value is one that a producer sent there.
 * - An acknowledged record is stored, at the offset that its acknowledgement named if it named one.
 * - An idempotent producer's records are stored once and in the order sent.
 * - A plain producer's may be stored again by a retry, but first appearances and acknowledged offsets keep the order.
 */
export function checkHistory({ producers, stored }: History): string[] {
  const problems = new Problems()
  checkOffsets(stored, problems)
  const known = new Map<string, Known[]>(producers.map(({ name }) => [name, []]))
  for (const record of stored) {
    const producer = producers.find(({ name }) => record.value.startsWith(`${name}:`))
    const sequence = Number(record.value.split(':')[1])
    if (producer && isSent(producer, sequence, record)) known.get(producer.name)?.push({ ...record, sequence })
    else
      problems.add('never sent', `partition ${record.partition} offset ${record.offset}: ${record.value.slice(0, 40)}`)
  }
  for (const producer of producers) checkProducer(producer, known.get(producer.name) ?? [], problems)
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

function checkOffsets(stored: readonly Stored[], problems: Problems): void {
  const next = new Map<number, number>()
  for (const { partition, offset } of stored) {
    const expected = next.get(partition) ?? 0
    if (offset !== expected) problems.add('gap', `partition ${partition}: offset ${offset} where ${expected} was due`)
    next.set(partition, offset + 1)
  }
}

function checkProducer(producer: ProducerHistory, records: readonly Known[], problems: Problems): void {
  const { name, idempotent } = producer
  const bySequence = new Map<number, Known[]>()
  for (const record of records) {
    const same = bySequence.get(record.sequence)
    if (same) same.push(record)
    else bySequence.set(record.sequence, [record])
  }
  for (const { sequence, partition, offset } of producer.acknowledged) {
    const found = bySequence.get(sequence) ?? []
    if (found.length === 0)
      problems.add('lost', `${name} ${sequence}, acknowledged at partition ${partition} offset ${offset}`)
    else if (offset !== null && !found.some((record) => record.offset === offset)) {
      problems.add(
        'moved',
        `${name} ${sequence}: acknowledged at ${offset}, stored at ${found.map((record) => record.offset)}`,
      )
    }
  }
  if (idempotent) {
    for (const [sequence, found] of bySequence) {
      if (found.length > 1) problems.add('repeated', `${name} ${sequence} at ${found.map(({ offset }) => offset)}`)
    }
  }
  checkRising(
    'out of order',
    name,
    [...bySequence.values()].map(([first]) => first as Known),
    problems,
  )
  const acknowledged = producer.acknowledged
    .filter((record): record is Acknowledged & Known => record.offset !== null)
    .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  checkRising('acknowledged out of order', name, acknowledged, problems)
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

class Problems {
  readonly #byKind = new Map<string, string[]>()

  add(kind: string, text: string): void {
    const texts = this.#byKind.get(kind)
    if (texts) texts.push(text)
    else this.#byKind.set(kind, [text])
  }

  list(): string[] {
    return [...this.#byKind].flatMap(([kind, texts]) => {
      const told = texts.slice(0, toldOfAKind).map((text) => `${kind}: ${text}`)
      return texts.length > toldOfAKind ? [...told, `${kind}: ${texts.length} in all`] : told
    })
  }
}
