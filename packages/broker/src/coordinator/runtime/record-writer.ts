import { Writer } from '@millrace/protocol'

/** Version of the keys of all records, inside their type. */
export const KEY_VERSION = 0

/** Writes keys and values of records. Each begins with a number: a key with the type of the record, a value with its version. */
export class RecordWriter {
  readonly #writer = new Writer(1024)

  /** Begins a key or a value; what follows is to be written to what this gives. */
  begin(typeOrVersion: number): Writer {
    this.#writer.reset()
    this.#writer.int16(typeOrVersion)
    return this.#writer
  }

  /** What was written. A copy, since the writer is used again. */
  take(): Buffer {
    return Buffer.from(this.#writer.toBuffer())
  }
}
