import { copyFileSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { LmdbStore } from '../lmdb-store.ts'
import { DIRECTORY } from './log-fixture.ts'

/**
 * A process that opens damaged copies of a log: `rot-reader.ts PATH SIZE FROM STEP`. It flips one bit in a copy of the file at each STEP-th
 * position from FROM on and tells on standard output what it finds, one JSON line each. Damage of LMDB's own pages may end it by a signal.
 */
export interface RotResult {
  readonly position: number
  /** Refused to open, with this error code; null: opened. */
  readonly code: string | null
  readonly term: number
  readonly voteId: number | null
  readonly lastIndex: number
  readonly lastChain: string
  readonly mayVote: boolean
  readonly findings: number
}

const [path, size, from, step] = process.argv.slice(2)
const original = readFileSync(path!)
const copy = `${path}.rot`
for (let position = Number(from); position < Number(size); position += Number(step)) {
  writeSync(1, `${JSON.stringify({ position })}\n`)
  copyFileSync(path!, copy)
  const bytes = Buffer.from(original)
  bytes[position]! ^= 1 << (position % 8)
  writeFileSync(copy, bytes)
  writeSync(1, `${JSON.stringify(await outcomeAt(position))}\n`)
}

async function outcomeAt(position: number): Promise<RotResult> {
  try {
    const identity = { clusterId: 'cluster', nodeId: 1, directoryId: DIRECTORY }
    const store = await LmdbStore.open({ path: copy, ...identity, create: false })
    const result = {
      position,
      code: null,
      term: store.hardState.term,
      voteId: store.hardState.vote?.id ?? null,
      lastIndex: store.lastIndex,
      lastChain: store.pointAt(store.lastIndex)!.chain.toString('hex'),
      mayVote: store.mayVote,
      findings: store.findings.length,
    }
    await store.close()
    return result
  } catch (error) {
    const code = (error as { code?: unknown }).code
    const none = { term: -1, voteId: null, lastIndex: -1, lastChain: '', mayVote: false, findings: 0 }
    return { position, code: typeof code === 'string' ? code : 'OTHER', ...none }
  }
}
