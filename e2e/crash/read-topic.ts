import { run } from '../harness/run.ts'
import { withAdmin } from '../harness/topics.ts'
import type { Stored } from './history.ts'

/** Long enough for a hundred megabytes on a busy machine. */
const readTimeoutMs = 180_000

/**
 * Everything that a topic holds, as kcat reads it, and where each partition starts. Nothing may be sent meanwhile; retention may run:
 * a start is then the offset that was found first, if it lies between the ones told before and after.
 */
export async function readTopic(
  bootstrap: string,
  topic: string,
): Promise<{ stored: Stored[]; startOffsets: number[] }> {
  const before = await startOffsetsOf(bootstrap, topic)
  const format = ['-f', '%p %o %s\\n']
  const args = ['-C', '-b', bootstrap, '-t', topic, '-o', 'beginning', '-e', '-q', ...format]
  const { stdout } = await run('kcat', args, { timeoutMs: readTimeoutMs })
  const after = await startOffsetsOf(bootstrap, topic)
  const stored: Stored[] = []
  const startOffsets = [...after]
  const isSeen: boolean[] = []
  for (const line of stdout.split('\n')) {
    const partitionEnd = line.indexOf(' ')
    const offsetEnd = line.indexOf(' ', partitionEnd + 1)
    if (offsetEnd < 0) {
      if (line !== '') throw new Error(`kcat printed ${line.slice(0, 80)}`)
      continue
    }
    const partition = Number(line.slice(0, partitionEnd))
    const offset = Number(line.slice(partitionEnd + 1, offsetEnd))
    stored.push({ partition, offset, value: line.slice(offsetEnd + 1) })
    if (isSeen[partition]) continue
    isSeen[partition] = true
    if (offset >= (before[partition] ?? 0) && offset <= (after[partition] ?? 0)) startOffsets[partition] = offset
  }
  return { stored, startOffsets }
}

function startOffsetsOf(bootstrap: string, topic: string): Promise<number[]> {
  return withAdmin(bootstrap, async (admin) => {
    const offsets = await admin.fetchTopicOffsets(topic)
    return offsets.sort((a, b) => a.partition - b.partition).map(({ low }) => Number(low))
  })
}
