import type { DataSchema } from '../schema/schema.ts'
import type { Reader } from '../wire/reader.ts'
import type { Writer } from '../wire/writer.ts'

/** A message outside of requests with its codec. Errors as in `ApiDefinition`. */
export interface DataDefinition<Message = unknown> {
  readonly name: string
  /** Which log or place it belongs to: the name of its schema file, for example `offset-records`. */
  readonly family: string
  readonly kind: DataSchema['kind']
  /** Type of the record within its log; -1 for none. */
  readonly key: number
  /** What stands before the message where Kafka stores it (see `encodeFramed`). */
  readonly framing: 'none' | 'metadata' | 'key' | 'version'
  readonly minVersion: number
  readonly maxVersion: number
  decode(reader: Reader, version: number): Message
  encode(writer: Writer, message: Message, version: number): void
}
