import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { DamagedLogError, REJOIN_REMEDY } from './damaged-log-error.ts'

const MAGIC = 0xbeefc0de
/** Of the format that the library writes. */
const DATA_VERSION = 2
const NO_PAGE = 0xffff_ffff_ffff_ffffn
const MAX_TREE_DEPTH = 64

/** Byte positions in a meta page (`MDB_meta` behind a page header of 24 bytes, little-endian). */
const AT = { magic: 24, version: 28, trees: [48, 96], lastPage: 144, transaction: 152, end: 168 } as const
/** Within the description of a tree (`MDB_db`), which begins with page size (of the first) and flags. */
const TREE_AT = { depth: 6, root: 40 } as const

/**
 * Looks at the two meta pages of an LMDB file before LMDB trusts them; they carry no checksum. Transactions go to them in turns, an even
 * number to the first and an odd one to the second, so their numbers are neighbours. A number that has rotted would make LMDB take the last
 * transaction but one for the newest, and so silently forget a vote. Fields that cannot be right would end the process by a signal.
 */
export function checkMetaPages(path: string): void {
  if (!existsSync(path)) return
  const file = openSync(path, 'r')
  try {
    const fileBytes = fstatSync(file).size
    // Created, and ended before anything was in it.
    if (fileBytes === 0) return
    const first = readMeta(file, 0)
    const pageBytes = first.readUInt32LE(AT.trees[0])
    const isPageSize = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0
    if (!isPageSize) throw damaged(path)
    const second = readMeta(file, pageBytes)
    for (const meta of [first, second]) if (!isPlausible(meta, pageBytes, fileBytes)) throw damaged(path)
    // Page size and flags never change.
    for (const tree of AT.trees) {
      const end = tree + TREE_AT.depth
      if (!first.subarray(tree, end).equals(second.subarray(tree, end))) throw damaged(path)
    }
    const [even, odd] = [first, second].map((meta) => meta.readBigUInt64LE(AT.transaction)) as [bigint, bigint]
    // Both are 0 before the first transaction.
    const isFresh = even === 0n && odd === 0n
    if (!isFresh && (even % 2n !== 0n || (odd !== even + 1n && odd !== even - 1n))) throw damaged(path)
  } finally {
    closeSync(file)
  }
}

function readMeta(file: number, position: number): Buffer {
  const meta = Buffer.alloc(AT.end)
  readSync(file, meta, 0, AT.end, position)
  return meta
}

function isPlausible(meta: Buffer, pageBytes: number, fileBytes: number): boolean {
  if (meta.readUInt32LE(AT.magic) !== MAGIC || meta.readUInt32LE(AT.version) !== DATA_VERSION) return false
  const lastPage = meta.readBigUInt64LE(AT.lastPage)
  const filePages = BigInt(Math.ceil(fileBytes / pageBytes))
  // The file is at least as long as the pages of its trees; the last ones may be free and never written.
  for (const tree of AT.trees) {
    const root = meta.readBigUInt64LE(tree + TREE_AT.root)
    const depth = meta.readUInt16LE(tree + TREE_AT.depth)
    if (depth > MAX_TREE_DEPTH) return false
    if (root !== NO_PAGE && (root < 2n || root > lastPage || root >= filePages)) return false
  }
  return true
}

function damaged(path: string): DamagedLogError {
  return new DamagedLogError('The meta pages of the quorum log contradict themselves', path, REJOIN_REMEDY)
}
