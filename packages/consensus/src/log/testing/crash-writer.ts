import { writeSync } from 'node:fs'
import { SeededRandom } from '@millrace/base'
import type { Entry, HardState } from '../../raft/types.ts'
import { LmdbStore } from '../lmdb-store.ts'
import { batch, DIRECTORY, entriesAfter, hardState, pointOf } from './log-fixture.ts'

/**
 * A process that writes until it is killed: `crash-writer.ts PATH SEED`. What it writes follows from the seed alone; after each write is
 * durable it tells its number on standard output.
 */
export interface PlannedWrite {
  readonly hardState: HardState
  readonly truncateFrom: number | null
  readonly entries: readonly Entry[]
  /** Whether a snapshot of the last entry follows. */
  readonly snapshotData: Buffer | null
}

/** The endless plan of a seed, and the log that each of its writes leaves. */
export function* plan(seed: number): Generator<{ write: PlannedWrite; log: readonly Entry[] }> {
  const random = new SeededRandom(seed)
  let log: Entry[] = []
  let snapshotIndex = 0
  for (let number = 1; ; number++) {
    let truncateFrom: number | null = null
    if (log.length > snapshotIndex && random.uint32() % 4 === 0) {
      truncateFrom = snapshotIndex + 1 + (random.uint32() % (log.length - snapshotIndex))
      log = log.slice(0, truncateFrom - 1)
    }
    const dataOf = () => random.bytes(random.uint32() % 600)
    const entries = entriesAfter(log.at(-1) ?? null, 1 + (random.uint32() % 5), number, dataOf)
    log = [...log, ...entries]
    const snapshotData = number % 10 === 0 ? random.bytes(600_000) : null
    if (snapshotData !== null) snapshotIndex = log.length
    yield { write: { hardState: hardState(number, number), truncateFrom, entries, snapshotData }, log }
  }
}

if (process.argv[1]?.endsWith('crash-writer.ts') === true) {
  const [path, seed] = process.argv.slice(2)
  const store = await LmdbStore.open({
    path: path!,
    clusterId: 'cluster',
    nodeId: 1,
    directoryId: DIRECTORY,
    create: true,
  })
  let number = 0
  for (const { write, log } of plan(Number(seed))) {
    const { hardState, truncateFrom, entries, snapshotData } = write
    await store.write(batch({ hardState, truncateFrom, entries }))
    writeSync(1, `${++number}\n`)
    if (snapshotData !== null) await store.saveSnapshot(pointOf(log.at(-1)!), snapshotData, log.length - 5)
  }
}
