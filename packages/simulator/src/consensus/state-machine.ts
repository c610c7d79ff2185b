/** Snapshot of a state machine that is nothing but the hash of what it applied: the hash, then zeros that make it as large as wanted. */
export function encodeState(hash: number, padBytes: number): Buffer {
  const data = Buffer.alloc(stateSizeBytes(padBytes))
  data.writeDoubleBE(hash)
  return data
}

export function decodeState(data: Buffer): number {
  return data.readDoubleBE(0)
}

export function stateSizeBytes(padBytes: number): number {
  return 8 + padBytes
}
