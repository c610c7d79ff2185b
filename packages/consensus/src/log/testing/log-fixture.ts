import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Uuid } from '@millrace/base'
import { open } from 'lmdb'
import { chainOf, FIRST_CHAIN } from '../../raft/chain.ts'
import type { Entry, EntryKind, HardState, SnapshotPoint } from '../../raft/types.ts'
import { LmdbStore } from '../lmdb-store.ts'
import type { LmdbStoreOptions } from '../log-opening.ts'
import type { StoreBatch } from '../raft-store.ts'

export const DIRECTORY = 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid
export const OTHER_DIRECTORY = 'AAAAAAAAAAAAAAAAAAAAAg' as Uuid

/** A log file in a directory of its own, and what has been written to it. */
export class LogFixture {
  readonly directory: string
  readonly path: string

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'quorum-log-'))
    this.path = join(this.directory, 'quorum.mdb')
  }

  options(init: Partial<LmdbStoreOptions> = {}): LmdbStoreOptions {
    return { path: this.path, clusterId: 'cluster', nodeId: 1, directoryId: DIRECTORY, create: true, ...init }
  }

  open(init: Partial<LmdbStoreOptions> = {}): Promise<LmdbStore> {
    return LmdbStore.open(this.options(init))
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** `count` entries of `term` after `previous`, with data that tells them apart. */
export function entriesAfter(
  previous: { readonly index: number; readonly chain: Buffer } | null,
  count: number,
  term: number,
  dataOf: (index: number) => Buffer = (index) => Buffer.from(`entry ${index} of term ${term}`),
  kind: EntryKind = 'command',
): Entry[] {
  const entries: Entry[] = []
  let index = previous?.index ?? 0
  let chain = previous?.chain ?? FIRST_CHAIN
  for (let number = 0; number < count; number++) {
    index++
    const data = dataOf(index)
    chain = chainOf(chain, { index, term, kind, data })
    entries.push({ index, term, kind, data, chain })
  }
  return entries
}

export function batch(init: Partial<StoreBatch> = {}): StoreBatch {
  return { hardState: null, truncateFrom: null, entries: [], snapshot: null, ...init }
}

export function hardState(term: number, voteId: number | null = null): HardState {
  return { term, vote: voteId === null ? null : { id: voteId, directoryId: OTHER_DIRECTORY } }
}

export function pointOf(entry: Entry): SnapshotPoint {
  return {
    index: entry.index,
    term: entry.term,
    chain: entry.chain,
    voters: [{ id: 1, directoryId: DIRECTORY, host: 'localhost', port: 9093 }],
    votersIndex: 0,
  }
}

/** Changes a record behind the store's back, through LMDB itself; null removes it. The store must be closed. */
export async function changeRecord(path: string, key: Buffer, edit: (value: Buffer) => Buffer | null): Promise<void> {
  const database = open<Buffer, Buffer>({
    path,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
  })
  const value = edit(Buffer.from(database.getBinary(key)!))
  if (value === null) await database.remove(key)
  else await database.put(key, value)
  await database.flushed
  await database.close()
}
