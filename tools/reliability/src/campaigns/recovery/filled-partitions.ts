import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Broker, startBroker } from '@millrace/e2e'
import type { CampaignContext } from '../../campaign.ts'
import { WireClient } from '../../load/wire-client.ts'
import type { BatchKind } from './acknowledged.ts'
import { coldDiskMibPerSecond } from './cold-disk.ts'
import { type Findings, ownMsOf } from './findings.ts'
import { createTopic, Load, makeKinds } from './load.ts'
import { dropPageCache } from './page-cache.ts'
import { diskReadMib } from './process-figures.ts'
import { checkAll } from './read-back.ts'
import { timedStart } from './timed-start.ts'

const TOPIC = 'filled'
/** Half a megabyte fills quickly; 16 kB is what recovery walks batch by batch. */
const LARGE_RECORDS = 512
const SMALL_RECORDS = 16
const KIND_COUNT = 8
const CONNECTION_COUNT = 4
/** Closed segments and an active one in each partition. */
const SEGMENT_BYTES = 64 << 20
const READY_MS_MAX = 3000
/** A start from a slow disk may take as long as one from memory and a plain read of what it reads, and so much of that more. */
const DISK_SHARE_MAX = 1.25

/**
 * Fills partitions, kills the broker while they are written to, and measures how long it takes until it serves again, once with the
 * files in memory and once from the disk. Everything acknowledged is read back both times.
 */
export async function runFilled(context: CampaignContext, findings: Findings): Promise<void> {
  const { mebibytes, partitions } = context.size as { mebibytes: number; partitions: number }
  const broker = await startBroker({ 'log.segment.bytes': String(SEGMENT_BYTES) }, { ownGroup: true })
  try {
    await createTopic(broker.port, TOPIC, partitions)
    const load = new Load(TOPIC, partitions, context.seed)
    const large = makeKinds(context.seed, KIND_COUNT, LARGE_RECORDS)
    const small = makeKinds(context.seed + 1, KIND_COUNT, SMALL_RECORDS)
    const kinds = [...large, ...small]
    const totalBytes = mebibytes * 2 ** 20
    const startMs = performance.now()
    const fillBytes = totalBytes * 0.8
    const isFilled = (): boolean => {
      context.progress(load.acknowledgedBytes, totalBytes)
      return load.acknowledgedBytes >= fillBytes || context.signal.aborted
    }
    await load.run(broker.port, CONNECTION_COUNT, large, isFilled)
    findings.figure('fillMibPerS', load.acknowledgedBytes / 2 ** 20 / ((performance.now() - startMs) / 1000))
    let hotMs = 0
    for (const cache of ['hot', 'cold'] as const) {
      if (context.signal.aborted) return
      await killUnderLoad(broker, load, small, totalBytes * 0.1)
      if (cache === 'cold') context.report(`   cold: ${dropPageCache(broker.directory)}`)
      const diskMibPerS = cache === 'cold' ? coldDiskMibPerSecond(join(broker.directory, 'data'), TOPIC) : null
      const startMs = performance.now()
      const times = await timedStart(broker)
      await firstAck(broker, load, small[0]!)
      const firstAckMs = performance.now() - startMs
      const name = cache === 'hot' ? 'filledHot' : 'filledCold'
      if (diskMibPerS === null) hotMs = ownMsOf(times)
      const limitMs = diskMibPerS === null ? 0 : coldLimitMs(findings, hotMs, diskMibPerS, diskReadMib(broker.pid))
      findings.start(`${name}Ready`, times, Math.max(READY_MS_MAX, limitMs))
      findings.figure(`${name}FirstAckMs`, firstAckMs)
      context.report(
        `   ${cache}: ready ${times.elapsedMs.toFixed(0)} ms after the start, first answer at ${firstAckMs.toFixed(0)}`,
      )
      context.report('   reading all of it back')
      const { faults, batchCount } = await checkAll(broker.port, TOPIC, load.histories, kinds)
      findings.check(`filled partitions, ${cache}`, batchCount, faults)
    }
  } finally {
    await broker.dispose()
  }
}

function coldLimitMs(findings: Findings, hotMs: number, diskMibPerS: number, readMib: number): number {
  findings.figure('filledColdDiskMibPerS', diskMibPerS)
  findings.figure('filledColdReadMib', readMib)
  return hotMs + DISK_SHARE_MAX * (readMib / diskMibPerS) * 1000
}

/** Kills the broker once `bytes` more were acknowledged, with requests under way on all connections. */
async function killUnderLoad(broker: Broker, load: Load, kinds: readonly BatchKind[], bytes: number): Promise<void> {
  const untilBytes = load.acknowledgedBytes + bytes
  let isKilling = false
  let isKilled = false
  const running = load.run(
    broker.port,
    CONNECTION_COUNT,
    kinds,
    () => isKilled,
    () => isKilling,
  )
  // It ends before the kill only by an error, which the race tells.
  while (load.acknowledgedBytes < untilBytes) await Promise.race([delay(20), running])
  isKilling = true
  await broker.kill()
  isKilled = true
  await running
}

/** The first record that it acknowledges after a start. */
async function firstAck(broker: Broker, load: Load, kind: BatchKind): Promise<void> {
  const client = await WireClient.open(broker.port)
  await load.produce(client, [0], kind)
  client.close()
}
