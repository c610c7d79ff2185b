import type { Uuid } from './brand.ts'

/** Source of randomness. The simulated one is a seeded generator, so equal seeds give equal runs. */
export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number
  /** Fresh bytes, owned by the caller. */
  bytes(sizeBytes: number): Buffer
}

/** A random version 4 id that does not start with a dash, since command lines take a leading dash for a flag. */
export function randomUuid(random: Random): Uuid {
  for (;;) {
    const bytes = random.bytes(16)
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const text = bytes.toString('base64url')
    if (!text.startsWith('-')) return text as Uuid
  }
}

/** The same id in the dashed hexadecimal form that group member ids use. */
export function randomUuidHex(random: Random): string {
  const bytes = random.bytes(16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
