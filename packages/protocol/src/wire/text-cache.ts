/** Longest text that is remembered, in bytes: from about here on the native conversion is as fast. Most names are shorter. */
const MAX_CACHED_BYTES = 32
/** Slots, a power of two. Direct mapped: a collision replaces, so the cache never holds more than slots × 32 bytes. */
const SLOT_COUNT = 2048

const slots: string[] = new Array<string>(SLOT_COUNT).fill('')

/**
 * Short ASCII text at `[start, end)` of `buffer`, or null when it is long or not ASCII. The same few names come with every
 * request; giving back the same string object saves the native call, the garbage and the hashing in the caller's maps
 * (measured in `wire.bench.ts`). Remembering changes no result, so this shared state is invisible. Hot path.
 */
export function cachedAscii(buffer: Buffer, start: number, end: number): string | null {
  const length = end - start
  if (length > MAX_CACHED_BYTES) return null
  let hash = length
  for (let position = start; position < end; position++) {
    const byte = buffer[position]!
    if (byte > 0x7f) return null
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  const slot = (hash ^ (hash >>> 15)) & (SLOT_COUNT - 1)
  const cached = slots[slot]!
  if (cached.length === length && matches(cached, buffer, start)) return cached
  const text = buffer.toString('latin1', start, end)
  slots[slot] = text
  return text
}

function matches(text: string, buffer: Buffer, start: number): boolean {
  for (let position = 0; position < text.length; position++) {
    if (text.charCodeAt(position) !== buffer[start + position]) return false
  }
  return true
}
