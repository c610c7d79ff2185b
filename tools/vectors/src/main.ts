import { runVectors } from './run-vectors.ts'
import { type Row, readVectors } from './vector-file.ts'

/** Failures that are printed in full; the rest is only counted. */
const MAX_DETAILED = 20

const folder = process.argv[2]
const rows = folder === undefined ? null : tryRead(folder)
if (rows === null) {
  if (folder === undefined) console.error('usage: npm run vectors -- DIR')
  process.exitCode = 2
} else {
  const { passedCount, failures } = await runVectors(rows)
  for (const { place, title, error } of failures.slice(0, MAX_DETAILED)) {
    console.log(
      `FAILED ${place} ${title}\n  ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`,
    )
  }
  if (failures.length > MAX_DETAILED) console.log(`… and ${failures.length - MAX_DETAILED} more`)
  console.log(`${passedCount} passed, ${failures.length} failed`)
  if (failures.length > 0) process.exitCode = 1
}

/** The folder's rows, or null after saying why they cannot be read. */
function tryRead(path: string): Row[] | null {
  try {
    return readVectors(path)
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    return null
  }
}
