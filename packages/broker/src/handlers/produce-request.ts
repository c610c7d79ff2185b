import { type Uuid, ZERO_UUID } from '@millrace/base'
import type { Reader } from '@millrace/protocol'

/** Names that may be left of earlier requests. Each may have 32 KiB, and in all the places of the longest request they would be gigabytes. */
const MAX_LEFT_OVER = 1_000

/**
 * A Produce request, read in place. It gives what the generated decoder gives (a property test holds them against each other) but
 * makes no objects and no views: at half a million small requests a second those would be most of the work. One instance serves
 * all requests; `partitionCount` says how much of its arrays counts. Beyond that they hold what earlier requests had there, so those that
 * have grown long begin anew.
 */
export class ProduceRequestView {
  transactionalId: string | null = null
  acks = 0
  timeoutMs = 0
  /** Partitions of all topics, in the order of the request. */
  partitionCount = 0
  /** By position: name (empty from version 13), id (zero before), partition number, and where the records lie; -1: null. */
  readonly topicName: string[] = []
  readonly topicId: Uuid[] = []
  readonly partition: number[] = []
  readonly recordsStart: number[] = []
  readonly recordsEnd: number[] = []

  /** Reads versions 3 to 13 from the reader's position to its end. Throws `MalformedMessageError`, before which nothing was done. */
  read(reader: Reader, version: number): void {
    const flexible = version >= 9
    const hasIds = version >= 13
    this.transactionalId = flexible ? reader.compactNullableString() : reader.nullableString()
    this.acks = reader.int16()
    this.timeoutMs = reader.int32()
    this.partitionCount = 0
    if (this.topicName.length > MAX_LEFT_OVER) this.topicName.length = 0
    const topicCount = flexible ? reader.compactArrayLength(hasIds ? 18 : 3) : reader.arrayLength(6)
    for (let topic = 0; topic < topicCount; topic++) {
      const name = hasIds ? '' : flexible ? reader.compactString() : reader.string()
      const id = hasIds ? reader.uuid() : ZERO_UUID
      const count = flexible ? reader.compactArrayLength(6) : reader.arrayLength(8)
      for (let slot = 0; slot < count; slot++) this.#readPartition(reader, flexible, name, id)
      if (flexible) reader.unknownTaggedFields()
    }
    if (flexible) reader.unknownTaggedFields()
    reader.expectEnd()
  }

  #readPartition(reader: Reader, flexible: boolean, name: string, id: Uuid): void {
    const at = this.partitionCount
    this.topicName[at] = name
    this.topicId[at] = id
    this.partition[at] = reader.int32()
    const sizeBytes = flexible ? reader.unsignedVarint() - 1 : reader.int32()
    this.recordsStart[at] = sizeBytes === -1 ? -1 : reader.skip(sizeBytes)
    this.recordsEnd[at] = sizeBytes === -1 ? -1 : reader.position
    if (flexible) reader.unknownTaggedFields()
    this.partitionCount = at + 1
  }
}
