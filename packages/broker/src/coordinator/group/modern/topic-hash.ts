import type { TopicImage } from '@millrace/consensus'

/** Two halves of 64 bits, as signed numbers. */
export interface TopicHash {
  readonly high: number
  readonly low: number
}

/**
 * Tells a topic from another one, and from itself with more partitions or with replicas in other racks. Stored in records by its sum over
 * the topics of a group, so it must never change; Kafka's own hash is private to it, and a group that comes from there is assigned anew once.
 */
export function topicHash(topic: TopicImage, racksOf: (replicas: readonly number[]) => readonly string[]): TopicHash {
  const hash = new Hash64()
  hash.addText(topic.id)
  hash.addText(topic.name)
  hash.addNumber(topic.partitions.length)
  for (const { replicas } of topic.partitions) {
    const racks = racksOf(replicas)
    hash.addNumber(racks.length)
    for (const rack of racks) hash.addText(rack)
  }
  return hash.end()
}

/** Two FNV-like lanes that see each other's state. Not for secrets. */
class Hash64 {
  #high = 0x811c9dc5 | 0
  #low = 0x01000193

  /** With its length, so that two texts are not one. */
  addText(text: string): void {
    this.addNumber(text.length)
    for (let position = 0; position < text.length; position++) this.addNumber(text.charCodeAt(position))
  }

  addNumber(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x9e3779b1)
    this.#low = Math.imul(this.#low ^ (value + (this.#high >>> 15)), 0x85ebca77)
    this.#high ^= this.#low >>> 13
  }

  end(): TopicHash {
    return { high: mix(this.#high ^ (this.#low >>> 7)), low: mix(this.#low ^ (this.#high >>> 11)) }
  }
}

/** The last step of MurmurHash3: every bit of the input tells in every bit of the output. */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
