import { blake3 } from '@noble/hashes/blake3.js'
import type { Entry, EntryKind } from './types.ts'

/** Bytes of a chain: half a BLAKE3 hash, enough against every accident. It is no defence against a peer that lies on purpose. */
export const CHAIN_BYTES = 16

/** The chain at index 0, before the first entry. */
export const FIRST_CHAIN: Buffer = Buffer.alloc(CHAIN_BYTES)

/** Number of each kind of entry, on the wire and under the chain. */
export const ENTRY_KIND_CODES: { readonly [K in EntryKind]: number } = { empty: 0, command: 1, voters: 2 }

// Sets these hashes apart from all others; the number is the version of what is hashed.
const DOMAIN = Buffer.from('millrace/chain/1', 'latin1')
const HEADER_BYTES = DOMAIN.length + CHAIN_BYTES + 8 + 8 + 1

/**
 * Checksum of the log up to and with an entry: BLAKE3, first 16 bytes, over the domain, the previous entry's chain, index and term
 * (uint64 each), the kind's code and the data. Equal chains mean equal logs (C5), so divergence and rot show where they are.
 */
export function chainOf(previousChain: Buffer, entry: Pick<Entry, 'index' | 'term' | 'kind' | 'data'>): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  DOMAIN.copy(header, 0)
  previousChain.copy(header, DOMAIN.length)
  const numbers = DOMAIN.length + CHAIN_BYTES
  header.writeUInt32BE(Math.floor(entry.index / 2 ** 32), numbers)
  header.writeUInt32BE(entry.index % 2 ** 32, numbers + 4)
  header.writeUInt32BE(Math.floor(entry.term / 2 ** 32), numbers + 8)
  header.writeUInt32BE(entry.term % 2 ** 32, numbers + 12)
  header[numbers + 16] = ENTRY_KIND_CODES[entry.kind]
  const hash = blake3.create({ dkLen: CHAIN_BYTES }).update(header).update(entry.data).digest()
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength)
}
