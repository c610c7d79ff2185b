import { setTimeout as delay } from 'node:timers/promises'
import type { SeededRandom } from '@millrace/base'
import { Producer } from '@millrace/client'

export interface FeederOptions {
  readonly bootstrap: string
  readonly topic: string
  readonly linesPerSecond: number
  readonly random: SeededRandom
}

const WORDS = 100
const MOST_WORDS_OF_LINE = 8
/** Longer than any outage of a run, so that no line is of unknown fate. */
const DELIVERY_TIMEOUT_MS = 120_000
const STEP_MS = 100

/** Sends lines of words until the signal, at an even pace whatever becomes of them. Answers how many; rejects if one was not delivered. */
export async function feed(options: FeederOptions, signal: AbortSignal): Promise<number> {
  const producer = new Producer({
    bootstrapServers: options.bootstrap,
    requestTimeoutMs: 5000,
    reconnectBackoffMaxMs: 300,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
    maxBlockMs: DELIVERY_TIMEOUT_MS,
  })
  try {
    return await feedWith(producer, options, signal)
  } finally {
    await producer.close()
  }
}

async function feedWith(producer: Producer, options: FeederOptions, signal: AbortSignal): Promise<number> {
  const { topic, linesPerSecond, random } = options
  const sent: Promise<unknown>[] = []
  const beginMs = performance.now()
  while (!signal.aborted) {
    const due = ((performance.now() - beginMs) / 1000) * linesPerSecond
    while (sent.length < due) {
      const line = producer.send({ topic, key: String(sent.length), value: someLine(random) })
      // Looked at in the end.
      line.catch(() => undefined)
      sent.push(line)
    }
    await delay(STEP_MS)
  }
  await Promise.all(sent)
  return sent.length
}

/** Some words are far more frequent than others, as in texts: their counts are what a lost or repeated step shows in soonest. */
function someLine(random: SeededRandom): string {
  const words = Array.from({ length: 1 + (random.uint32() % MOST_WORDS_OF_LINE) }, () => {
    const rank = Math.floor(WORDS * (random.uint32() / 2 ** 32) ** 2)
    return `word${rank}`
  })
  return words.join(' ')
}
