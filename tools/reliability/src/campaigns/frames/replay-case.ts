import { batchOf, TestBroker } from '@millrace/broker/testing'
import type { CorpusCase } from './corpus.ts'
import { TARGET_TOPICS } from './frame-source.ts'
import { FuzzConnection } from './fuzz-connection.ts'
import { MAX_STALL_MS, type StallWatch } from './stall-watch.ts'
import { WatchedChecks } from './watched-checks.ts'

/** What is sent by byte must not be long: each byte is a delivery. */
const MAX_BYTE_BY_BYTE = 4096

/**
 * Sends what a case holds to a fresh broker, at once and then byte by byte, with a neighbour beside. Returns what did not hold.
 */
export async function replayCase(found: CorpusCase, watch: StallWatch): Promise<string[]> {
  const { connections } = found
  const complaints: string[] = []
  const broker = await TestBroker.start({
    settings: { 'auto.create.topics.enable': 'true' },
    batchChecks: new WatchedChecks(watch),
  })
  const neighbour = broker.connect('10.255.255.254')
  await neighbour.createTopic('neighbour')
  for (const [name, { partitions, configs }] of Object.entries(TARGET_TOPICS)) {
    await neighbour.createTopic(name, partitions, configs)
  }
  const isShort = connections.every(({ length }) => length <= MAX_BYTE_BY_BYTE)
  for (const [round, cuts] of (isShort ? (['none', 'every'] as const) : (['none'] as const)).entries()) {
    complaints.push(...(await replayOnce(found, broker, watch, round, cuts)))
    const { errorCode, baseOffset } = await neighbour.produce('neighbour', batchOf(['n']))
    if (errorCode !== 0 || baseOffset !== round)
      complaints.push(`the neighbour got error ${errorCode}, offset ${baseOffset}`)
  }
  await broker.stop()
  for (const error of broker.fatalErrors) complaints.push(`the broker would have ended: ${error.message}`)
  for (const { level, message } of broker.logger.lines) if (level === 'error') complaints.push(`logged: ${message}`)
  return complaints
}

async function replayOnce(
  { connections, answered, closed }: CorpusCase,
  broker: TestBroker,
  watch: StallWatch,
  round: number,
  cuts: 'none' | 'every',
): Promise<string[]> {
  const complaints: string[] = []
  const turn = async (work: () => void): Promise<void> => {
    const heldMs = await watch.turn(work)
    if (heldMs > MAX_STALL_MS) complaints.push(`held the loop for ${heldMs.toFixed(0)} ms`)
  }
  const opened = connections.map(
    (_, n) => new FuzzConnection(broker.openSocket(`10.0.${round}.${n}`), `10.0.${round}.${n}`),
  )
  for (const [n, connection] of opened.entries()) {
    const delivery = { bytes: connections[n]!, sound: false, cuts }
    await turn(() => connection.send(delivery))
    while (connection.hasUnsent) await turn(() => connection.sendMore())
    connection.check(delivery)
  }
  for (let count = 0; count < 200; count++) await turn(() => undefined)
  const reasons = new Map(broker.logger.lines.map(({ fields }) => [String(fields.clientAddress), fields.reason]))
  const closedCount = opened.filter(({ isClosed }) => isClosed).length
  for (const connection of opened)
    complaints.push(...connection.finish(reasons.get(connection.address) as string | undefined))
  const answeredCount = opened.reduce((sum, { checker }) => sum + checker.answeredCount, 0)
  if (answered !== null && answeredCount !== answered) complaints.push(`${answeredCount} answers, not ${answered}`)
  if (closed !== null && closedCount !== closed) complaints.push(`${closedCount} connections closed, not ${closed}`)
  return complaints
}
