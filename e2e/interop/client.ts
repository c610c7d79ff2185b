/** What a client has of the things that not all have. */
export interface Capabilities {
  readonly codecs: readonly Codec[]
  /** Whether it has an idempotent producer. */
  readonly idempotence: boolean
}

/** What the interoperability tests ask of every client; adapters of other vendors' clients give it. */
export interface InteropClient {
  /** Sends all records to one partition, in order and acknowledged by `acks=all`. */
  produce(options: ProduceOptions): Promise<void>
  /** Reads `count` records of one partition from an offset on, without a group. */
  fetch(options: { topic: string; partition: number; offset: number; count: number }): Promise<ReceivedRecord[]>
  /** The first offset whose timestamp is at least `timestampMs`, as ListOffsets answers. */
  offsetForTime(options: { topic: string; partition: number; timestampMs: number }): Promise<number>
  /** Joins a group on one topic, from the earliest offset where nothing is committed. */
  join(options: { group: string; topic: string }): Promise<GroupMember>
  /** Ends what the client holds open between calls, if anything. */
  close?(): Promise<void>
}

export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

export const allCodecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

export interface ProduceOptions {
  readonly topic: string
  readonly partition: number
  readonly codec: Codec
  readonly idempotent: boolean
  readonly records: readonly SentRecord[]
}

export interface SentRecord {
  readonly key: Buffer | null
  /** Null is a tombstone. */
  readonly value: Buffer | null
  readonly headers: readonly (readonly [string, Buffer])[]
  readonly timestampMs: number
}

export interface ReceivedRecord extends SentRecord {
  readonly partition: number
  readonly offset: number
}

/** A member of a consumer group that reads in the background. */
export interface GroupMember {
  /** Partitions assigned now, sorted. */
  partitions(): Promise<number[]>
  /** All records received so far. */
  received(): Promise<ReceivedRecord[]>
  /** Commits what was received and leaves the group. */
  leave(): Promise<void>
}
