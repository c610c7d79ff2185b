import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'

const CHUNK_BYTES = 1 << 20
const SAMPLE_BYTES = 512 << 20
const FIRST_SEGMENT = '00000000000000000000.log'

/**
 * Mebibytes a second that a plain program gets of files that lie in no cache, now: what a start from the disk can be held against. Reads the
 * oldest segment of one partition of the topic after the other, up to half a gibibyte: those that others follow, which no start reads. Null if
 * there are none.
 */
export function coldDiskMibPerSecond(dataDirectory: string, topic: string): number | null {
  const chunk = Buffer.alloc(CHUNK_BYTES)
  const partitions = readdirSync(dataDirectory).filter((name) => name.startsWith(`${topic}-`))
  const startMs = performance.now()
  let readBytes = 0
  for (const name of partitions) {
    if (readBytes >= SAMPLE_BYTES) break
    const directory = join(dataDirectory, name)
    if (readdirSync(directory).filter((file) => file.endsWith('.log')).length < 2) continue
    const file = openSync(join(directory, FIRST_SEGMENT), 'r')
    try {
      for (let count = -1; count !== 0 && readBytes < SAMPLE_BYTES; readBytes += count) {
        count = readSync(file, chunk, 0, CHUNK_BYTES, null)
      }
    } finally {
      closeSync(file)
    }
  }
  return readBytes === 0 ? null : readBytes / 2 ** 20 / ((performance.now() - startMs) / 1000)
}
