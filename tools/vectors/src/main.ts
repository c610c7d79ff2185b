import { runVectors } from './run-vectors.ts'
import { type Row, readVectors } from './vector-file.ts'

/**
 * `npm run vectors -- DIR` checks the vectors of a folder. The last line is always `N passed, N failed`; the exit code is 0 if all
 * passed, 1 if any failed, 2 if there was nothing to check.
 */

/** Failures that are printed in full; the rest is only counted. */
const MAX_DETAILED = 20

const folder = process.argv[2]
const rows = folder === undefined ? null : tryRead(folder)
if (folder === undefined) console.error('usage: npm run vectors -- DIR')
const { passedCount, failures } = await runVectors(rows ?? [])
for (const { place, title, error } of failures.slice(0, MAX_DETAILED)) {
  console.log(
    `FAILED ${place} ${title}\n  ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`,
  )
}
if (failures.length > MAX_DETAILED) console.log(`… and ${failures.length - MAX_DETAILED} more`)
console.log(`${passedCount} passed, ${failures.length} failed`)
if (rows === null) process.exitCode = 2
else if (failures.length > 0) process.exitCode = 1

/** The folder's rows, or null after saying why there are none. */
function tryRead(path: string): Row[] | null {
  try {
    return readVectors(path)
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    return null
  }
}
