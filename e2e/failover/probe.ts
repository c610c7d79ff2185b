import { setTimeout as delay } from 'node:timers/promises'
import { Producer } from '@millrace/client'

/** What a writer saw of a fault. Times are milliseconds after it. */
export interface Gap {
  /** First acknowledgement of a record that was sent after the fault. */
  readonly firstAckMs: number
  /** Longest time between two acknowledgements, from the last one before the fault on. */
  readonly longestMs: number
  /** Records that were given up, of all that were sent. */
  readonly failedCount: number
  readonly sentCount: number
}

const INTERVAL_MS = 5
const WARM_UP_COUNT = 100
/** Acknowledgements after the fault that show that service is back. */
const SETTLED_COUNT = 100
const LIMIT_MS = 60_000

/**
 * Writes a record each 5 ms with `acks=all` to one partition, lets the fault come, and measures until writes go on. Rejects if they do not
 * within a minute. Settings of the client are those that anybody may have: what it takes for the next try is most of what is measured.
 */
export async function measureGap(
  bootstrap: string,
  topic: string,
  requestTimeoutMs: number,
  fault: () => void,
): Promise<Gap> {
  const producer = new Producer({
    bootstrapServers: bootstrap,
    requestTimeoutMs,
    retryBackoffMs: 20,
    retryBackoffMaxMs: 200,
  })
  const acks: { sentMs: number; ackedMs: number }[] = []
  let failedCount = 0
  let sentCount = 0
  const send = () => {
    const sentMs = performance.now()
    sentCount++
    producer.send({ topic, partition: 0, value: String(sentCount) }).then(
      () => acks.push({ sentMs, ackedMs: performance.now() }),
      () => {
        failedCount++
      },
    )
  }
  try {
    const startedMs = performance.now()
    while (acks.length < WARM_UP_COUNT) {
      if (performance.now() - startedMs > LIMIT_MS) throw new Error('nothing was acknowledged before the fault')
      send()
      await delay(INTERVAL_MS)
    }
    fault()
    const faultMs = performance.now()
    const isAfter = ({ sentMs }: { sentMs: number }) => sentMs > faultMs
    while (acks.filter(isAfter).length < SETTLED_COUNT) {
      if (performance.now() - faultMs > LIMIT_MS)
        throw new Error(`nothing was acknowledged within ${LIMIT_MS} ms of the fault`)
      send()
      await delay(INTERVAL_MS)
    }
    return { ...gapOf(acks, faultMs), failedCount, sentCount }
  } finally {
    await producer.close()
  }
}

/** From the times of all acknowledgements. */
export function gapOf(
  acks: readonly { sentMs: number; ackedMs: number }[],
  faultMs: number,
): Pick<Gap, 'firstAckMs' | 'longestMs'> {
  const times = acks.map(({ ackedMs }) => ackedMs).sort((a, b) => a - b)
  let longestMs = 0
  for (const [slot, ackedMs] of times.entries()) {
    if (ackedMs < faultMs || slot === 0) continue
    longestMs = Math.max(longestMs, ackedMs - times[slot - 1]!)
  }
  const after = acks.filter(({ sentMs }) => sentMs > faultMs).map(({ ackedMs }) => ackedMs)
  return { firstAckMs: Math.min(...after) - faultMs, longestMs }
}
