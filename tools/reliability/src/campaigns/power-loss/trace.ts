/** What `native/lost-writes.c` writes down, in the order of its enum. */
const operations = [
  'opening',
  'opened',
  'close',
  'write',
  'resize',
  'allocate',
  'syncBegin',
  'syncEnd',
  'syncAllBegin',
  'syncAllEnd',
  'rename',
  'unlink',
  'makeDirectory',
  'removeDirectory',
  'cutShort',
  'unsupported',
] as const

export type Operation = (typeof operations)[number]

/** One change, sync or descriptor, as the process asked for it. What a field means depends on the operation; others are 0. */
export interface TraceRecord {
  readonly operation: Operation
  readonly fd: number
  /** Position of a write, new size, start of what is allocated, token of a sync, bytes that a write got done before it was cut short. */
  readonly position: number
  /** Flags of an open, end of what is allocated, 1 if a sync succeeded. */
  readonly extra: number
  /** A view: bytes of a write, or a path; both paths of a rename with a zero between them. */
  readonly payload: Buffer
}

const HEADER_BYTES = 32
const MAGIC = 0x31574c4d

/**
 * The records of a trace. What stands unfinished at its end was being written down when the process was killed, so the operation itself
 * had not begun. Throws for anything that the library does not write.
 */
export function parseTrace(trace: Buffer): TraceRecord[] {
  const records: TraceRecord[] = []
  for (let position = 0; position + HEADER_BYTES <= trace.length; ) {
    if (trace.readUInt32LE(position) !== MAGIC) throw new Error(`the trace is damaged at ${position}`)
    const start = position + HEADER_BYTES
    const end = start + trace.readUInt32LE(position + 4)
    if (end > trace.length) break
    const number = trace.readUInt32LE(position + 8)
    const operation = operations[number - 1]
    if (operation === undefined) throw new Error(`the trace has an operation ${number} at ${position}`)
    records.push({
      operation,
      fd: trace.readInt32LE(position + 12),
      position: Number(trace.readBigInt64LE(position + 16)),
      extra: Number(trace.readBigInt64LE(position + 24)),
      payload: trace.subarray(start, end),
    })
    position = end
  }
  return records
}
