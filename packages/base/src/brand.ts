/** A value of type `T` that only its own constructor function may make: offsets are not epochs, ids are not counts. */
export type Brand<T, Name extends string> = T & { readonly __brand: Name }

/** Position of a record in a partition, ≥ 0. Safe integer. */
export type Offset = number
/** Epoch of a partition's leadership, ≥ 0; -1 means unknown. int32. */
export type LeaderEpoch = number
/** Id of an idempotent producer, ≥ 0; -1 means none. Safe integer. */
export type ProducerId = number
/** Milliseconds since the Unix epoch; -1 means none. Safe integer. */
export type TimestampMs = number
/** 16-byte id in Kafka's text form: 22 characters of URL-safe base64 without padding. */
export type Uuid = Brand<string, 'Uuid'>

/** The id of sixteen zero bytes, which Kafka uses for "no id". */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA' as Uuid
