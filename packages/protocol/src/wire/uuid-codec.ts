import { assert, type Uuid, ZERO_UUID } from '@millrace/base'

/** Slots of the cache below, a power of two. Topic ids repeat with every fetch, so most decodes find their text here. */
const SLOT_COUNT = 1024

const words = new Int32Array(SLOT_COUNT * 4)
const texts: Uuid[] = new Array<Uuid>(SLOT_COUNT).fill(ZERO_UUID)

/**
 * The id in the 16 bytes at `position` (range checked by the caller). Ids seen lately come back as the same string, which
 * saves the base64 conversion and makes comparing and hashing cheap. Hot path.
 */
export function decodeUuid(buffer: Buffer, position: number): Uuid {
  const a = buffer.readInt32BE(position)
  const b = buffer.readInt32BE(position + 4)
  const c = buffer.readInt32BE(position + 8)
  const d = buffer.readInt32BE(position + 12)
  if ((a | b | c | d) === 0) return ZERO_UUID
  const slot = (a ^ (b >>> 7) ^ (c >>> 13) ^ Math.imul(d, 0x9e3779b1)) & (SLOT_COUNT - 1)
  const at = slot * 4
  if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return texts[slot]!
  const text = buffer.toString('base64url', position, position + 16) as Uuid
  words[at] = a
  words[at + 1] = b
  words[at + 2] = c
  words[at + 3] = d
  texts[slot] = text
  return text
}

/** Value of each base64 character, 64 for what is none. */
const SEXTETS = sextets()

/**
 * Writes the 16 bytes of `id` at `position` (capacity checked by the caller). A text that is no id is a programmer error. The
 * conversion is done here since the native one costs 140 ns a call. Hot path.
 */
export function encodeUuid(buffer: Buffer, position: number, id: Uuid): void {
  if (id === ZERO_UUID) {
    buffer.fill(0, position, position + 16)
    return
  }
  assert(id.length === 22, 'not a UUID in base64')
  let seen = 0
  let at = position
  for (let slot = 0; slot < 20; slot += 4) {
    const a = SEXTETS[id.charCodeAt(slot)] ?? 64
    const b = SEXTETS[id.charCodeAt(slot + 1)] ?? 64
    const c = SEXTETS[id.charCodeAt(slot + 2)] ?? 64
    const d = SEXTETS[id.charCodeAt(slot + 3)] ?? 64
    seen |= a | b | c | d
    buffer[at] = (a << 2) | (b >> 4)
    buffer[at + 1] = (b << 4) | (c >> 2)
    buffer[at + 2] = (c << 6) | d
    at += 3
  }
  const a = SEXTETS[id.charCodeAt(20)] ?? 64
  const b = SEXTETS[id.charCodeAt(21)] ?? 64
  buffer[at] = (a << 2) | (b >> 4)
  assert((seen | a | b) < 64, 'not a UUID in base64')
}

function sextets(): Uint8Array {
  const table = new Uint8Array(256).fill(64)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  for (let value = 0; value < alphabet.length; value++) table[alphabet.charCodeAt(value)] = value
  return table
}
