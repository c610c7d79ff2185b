/**
 * Shape of our schema files. They hold the facts of Kafka's message definitions in a compact form: what equals the usual case is left
 * out. The generator turns them into codecs; the vector checker and the property tests read them as they are.
 */

/** `'3'`, `'3-7'` or `'3+'`, in versions of the message. `'none'` for a message without flexible versions. */
export type VersionRange = string

/** Where Kafka serves an API. */
export type ListenerKind = 'broker' | 'controller'

export interface FieldSchema {
  /** As in Kafka's definitions, with a lower-case first letter. */
  readonly name: string
  /**
   * `bool`, `int8`, `int16`, `uint16`, `int32`, `uint32`, `int64`, `float64`, `uuid`, `string`, `bytes`, `records`, or a struct's name;
   * `[]` behind it for an array.
   */
  readonly type: string
  /** Absent: every version of the message. */
  readonly versions?: VersionRange
  /** Versions in which the value may be null; `true`: in all. Absent: never. */
  readonly nullable?: VersionRange | true
  /** Makes it a tagged field (KIP-482), in each version that has it. */
  readonly tag?: number
  /** `'none'`: keeps the legacy encoding in flexible versions too (only `clientId` of the request header). */
  readonly flexible?: 'none'
  /** Absent: 0, false, empty, the zero UUID, a struct of defaults; null for records. */
  readonly default?: number | bigint | boolean | string | null
  /** A value that the version cannot carry is dropped silently instead of refused. */
  readonly ignorable?: true
  /** Defines the struct that `type` names. Absent when `structs` or another field does. */
  readonly fields?: readonly FieldSchema[]
}

export interface MessageSchema {
  readonly fields: readonly FieldSchema[]
  /** Structs used in more than one place of this message, by name. */
  readonly structs?: Readonly<Record<string, readonly FieldSchema[]>>
}

/** One API: its request and response. */
export interface ApiSchema {
  readonly key: number
  /** Without `Request` or `Response`. */
  readonly name: string
  readonly versions: VersionRange
  readonly flexible: VersionRange
  /** The newest version is not final: decoded and encoded, but never advertised. */
  readonly latestVersionUnstable?: true
  readonly listeners: readonly ListenerKind[]
  /** Only brokers and controllers may send it: needs CLUSTER_ACTION on the cluster. */
  readonly clusterAction?: true
  /** A broker passes it on to the active controller (KIP-590). */
  readonly forwardable?: true
  readonly request: MessageSchema
  readonly response: MessageSchema
}

/**
 * A message outside of requests: `header`, `data` (embedded in bytes fields, control records and files), `metadata` (framed by key and
 * version as varints), `coordinator-key` and `coordinator-value` (records of an internal topic).
 */
export interface DataSchema extends MessageSchema {
  readonly name: string
  readonly kind: 'header' | 'data' | 'metadata' | 'coordinator-key' | 'coordinator-value'
  /** Record type: Kafka's apiKey of the record. Absent for `header` and `data`. */
  readonly key?: number
  readonly versions: VersionRange
  readonly flexible: VersionRange
}

/** Messages of one generated file. */
export interface DataFamilySchema {
  /** Kebab case, the generated file's name. */
  readonly name: string
  readonly messages: readonly DataSchema[]
}
