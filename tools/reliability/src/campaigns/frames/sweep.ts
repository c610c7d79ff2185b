import { SeededRandom } from '@millrace/base'
import { elementLimitOf, RequestGrammar, requestFrame, servedApis, TestBroker } from '@millrace/broker/testing'
import { ApiKey, apis } from '@millrace/protocol'
import { tooLittle } from '../../load/work.ts'
import { TARGET_TOPICS } from './frame-source.ts'
import { FuzzConnection } from './fuzz-connection.ts'
import { MAX_STALL_MS, type StallWatch } from './stall-watch.ts'
import { WatchedChecks } from './watched-checks.ts'

/** Turns after which the largest request is done, or waits for something else. */
const TURNS = 2_000
/** Tries per API and version: which of its arrays is the large one is left to chance. */
const TRIES = 2

export interface SweepResult {
  readonly requestCount: number
  /** Of these, how many were answered, and not refused as too large: nested arrays may have more elements than is allowed. */
  readonly answeredCount: number
  readonly complaints: readonly string[]
}

/**
 * Requests that are as large as their API allows, for each API in its newest version: nobody may send what holds the loop for longer.
 * Chance finds these too, and rarely at the limit.
 */
export async function sweepLimits(seed: number, watch: StallWatch, only: number | null = null): Promise<SweepResult> {
  const complaints: string[] = []
  const grammar = new RequestGrammar(new SeededRandom(seed))
  let requestCount = 0
  let answeredCount = 0
  for (const { key, name, maxVersion } of servedApis()) {
    if (only !== null && key !== only) continue
    const broker = await TestBroker.start({ seed, batchChecks: new WatchedChecks(watch) })
    const client = broker.connect()
    for (const [topic, { partitions, configs }] of Object.entries(TARGET_TOPICS)) {
      await client.createTopic(topic, partitions, configs)
    }
    for (let attempt = 0; attempt < TRIES; attempt++) {
      // Nested arrays take their share of what is allowed.
      const count = Math.floor(elementLimitOf(key) * [0.98, 0.3][attempt]!)
      const prefix = key === ApiKey.CREATE_TOPICS || key === ApiKey.METADATA ? 'n/' : 'n'
      const bytes = requestFrame(apis[key]!, maxVersion, grammar.flood(key, maxVersion, count, prefix))
      const address = `10.1.${key}.${attempt}`
      const connection = new FuzzConnection(broker.openSocket(address), address)
      const longestMs = await longestTurn(connection, bytes, watch)
      requestCount++
      if (connection.checker.answeredCount > 0) answeredCount++
      else if (connection.checker.overdueApi !== null && !connection.isClosed)
        complaints.push(`${name} ${maxVersion} of ${bytes.length} bytes is not answered in ${TURNS} turns`)
      connection.close()
      if (longestMs > MAX_STALL_MS) {
        complaints.push(`${name} ${maxVersion} of ${bytes.length} bytes held the loop for ${longestMs.toFixed(0)} ms`)
      }
    }
    await broker.stop()
    for (const error of broker.fatalErrors) complaints.push(`${name}: the broker would have ended: ${error.message}`)
    for (const { level, message } of broker.logger.lines) {
      if (level === 'error') complaints.push(`${name}: logged: ${message}`)
    }
  }
  // With half of them refused at the door, hardly any API would have been tried.
  for (const complaint of tooLittle([
    { what: 'largest requests answered', count: answeredCount, least: requestCount / 2 },
  ]))
    complaints.push(complaint)
  return { requestCount, answeredCount, complaints }
}

async function longestTurn(connection: FuzzConnection, bytes: Buffer, watch: StallWatch): Promise<number> {
  const delivery = { bytes, sound: false, cuts: 'none' as const }
  let longestMs = await watch.turn(() => connection.send(delivery))
  while (connection.hasUnsent) longestMs = Math.max(longestMs, await watch.turn(() => connection.sendMore()))
  connection.check(delivery)
  for (let turn = 0; turn < TURNS && !connection.isClosed && connection.checker.answeredCount === 0; turn++) {
    longestMs = Math.max(longestMs, await watch.turn(() => undefined))
    connection.check(null)
  }
  return longestMs
}
