/** A batch as it is sent again and again: what tells it from others when it is read back. */
export interface BatchKind {
  readonly bytes: Buffer
  readonly recordCount: number
  /** As the header has it. It covers neither offset nor leader epoch, which the broker stamps. */
  readonly crc: number
}

/** What one partition was sent, and what of it was acknowledged. */
export class PartitionHistory {
  readonly partition: number
  /** Kind of the acknowledged batch by its base offset. */
  readonly acknowledged = new Map<number, BatchKind>()
  /** Where the last acknowledged batch ends. */
  acknowledgedEnd = 0
  /** Batches sent, acknowledged or not. */
  sentCount = 0
  /** Offsets that two batches were told to be at. */
  readonly givenTwice: number[] = []

  constructor(partition: number) {
    this.partition = partition
  }

  onAcknowledged(baseOffset: number, kind: BatchKind): void {
    if (this.acknowledged.has(baseOffset)) this.givenTwice.push(baseOffset)
    this.acknowledged.set(baseOffset, kind)
    this.acknowledgedEnd = Math.max(this.acknowledgedEnd, baseOffset + kind.recordCount)
  }
}

/** A batch as it was read back. */
export interface ReadBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly crc: number
  readonly sizeBytes: number
  /** Its bytes have the checksum that its header names. */
  readonly sound: boolean
}

/**
 * What is wrong with a partition after a restart, one line each, at most three: every acknowledged batch must be at its offset, whole;
 * offsets must follow each other without a gap from 0 to the end; and there must be nothing that was not sent.
 */
export function faultsOf(
  history: PartitionHistory,
  kinds: readonly BatchKind[],
  batches: readonly ReadBatch[],
): string[] {
  const faults: string[] = []
  const name = `partition ${history.partition}`
  const sentCrcs = new Map(kinds.map((kind) => [kind.crc, kind]))
  const found = new Set<number>()
  for (const offset of history.givenTwice) faults.push(`${name}: offset ${offset} was given to two batches`)
  let expectedOffset = 0
  for (const batch of batches) {
    const { baseOffset, lastOffset } = batch
    if (baseOffset !== expectedOffset) faults.push(`${name}: offset ${expectedOffset} is followed by ${baseOffset}`)
    expectedOffset = lastOffset + 1
    const kind = sentCrcs.get(batch.crc)
    if (!batch.sound) faults.push(`${name}: damaged batch at ${baseOffset}`)
    else if (kind === undefined || kind.bytes.length !== batch.sizeBytes)
      faults.push(`${name}: unknown batch at ${baseOffset}`)
    const acknowledged = history.acknowledged.get(baseOffset)
    if (acknowledged === undefined) continue
    found.add(baseOffset)
    if (acknowledged.crc !== batch.crc) faults.push(`${name}: another batch at ${baseOffset} than was acknowledged`)
  }
  for (const baseOffset of history.acknowledged.keys()) {
    if (!found.has(baseOffset)) faults.push(`${name}: the acknowledged batch at ${baseOffset} is missing`)
  }
  if (batches.length > history.sentCount)
    faults.push(`${name}: ${batches.length} batches, but ${history.sentCount} were sent`)
  return faults.slice(0, 3)
}
