import { setTimeout as delay } from 'node:timers/promises'
import { type Broker, startBroker } from '@millrace/e2e'
import type { CampaignContext } from '../../campaign.ts'
import { WireClient } from '../../load/wire-client.ts'
import type { BatchKind } from './acknowledged.ts'
import type { Findings } from './findings.ts'
import { createTopic, Load, makeKinds } from './load.ts'
import { dropPageCache } from './page-cache.ts'
import { cpuSecondsOf, holdingsOf } from './process-figures.ts'
import { checkEnds } from './read-back.ts'
import { timedStart } from './timed-start.ts'

const TOPIC = 'idle'
const PARTITIONS_PER_REQUEST = 100
const REQUESTS_UNDER_WAY = 4
/** What a start leaves to be done in the background is over by then. */
const SETTLE_MS = 3000
const CLEAN_READY_MS_MAX = 3000
const KILLED_READY_MS_MAX = 5000
const CPU_PERCENT_MAX = 1
const DESCRIPTORS_MAX = 200
const MAPPINGS_MAX = 1500

/**
 * Many partitions with a record each that nobody uses: what a start after a kill and after a clean stop takes, a stop, and what the
 * broker costs while nothing happens.
 */
export async function runIdle(context: CampaignContext, findings: Findings): Promise<void> {
  const { idlePartitions: count, idleSeconds } = context.size as { idlePartitions: number; idleSeconds: number }
  const broker = await startBroker({}, { ownGroup: true })
  try {
    context.report(`   ${count} partitions with a record each`)
    await createTopic(broker.port, TOPIC, count)
    const load = new Load(TOPIC, count, context.seed)
    const kind = makeKinds(context.seed, 1, 1)[0]!
    findings.figure('idleFillMs', await timed(() => fillAll(broker, load, kind)))
    findings.figure('busyDescriptors', holdingsOf(broker.pid).descriptorCount)
    await broker.kill()
    findings.start('idleKilledReady', await timedStart(broker), KILLED_READY_MS_MAX)
    await check(broker, load, findings, 'after a kill')
    if (context.signal.aborted) return

    await fillAll(broker, load, kind)
    findings.figure('busyStopMs', await timed(() => broker.stop()))
    findings.start('idleCleanReady', await timedStart(broker), CLEAN_READY_MS_MAX)
    await check(broker, load, findings, 'after a clean stop')
    if (context.signal.aborted) return

    await measureIdle(broker, findings, idleSeconds)
    findings.figure('idleStopMs', await timed(() => broker.stop()))
    context.report(`   cold: ${dropPageCache(broker.directory)}`)
    findings.start('idleColdReady', await timedStart(broker))
    await check(broker, load, findings, 'after a clean stop, from the disk')
  } finally {
    await broker.dispose()
  }
}

/** One record to each partition. */
async function fillAll(broker: Broker, load: Load, kind: BatchKind): Promise<void> {
  const left: number[][] = []
  for (let start = 0; start < load.histories.length; start += PARTITIONS_PER_REQUEST) {
    left.push(load.histories.slice(start, start + PARTITIONS_PER_REQUEST).map(({ partition }) => partition))
  }
  const client = await WireClient.open(broker.port)
  try {
    const workers = Array.from({ length: REQUESTS_UNDER_WAY }, async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) await load.produce(client, next, kind)
    })
    await Promise.all(workers)
  } finally {
    client.close()
  }
}

async function check(broker: Broker, load: Load, findings: Findings, when: string): Promise<void> {
  const faults = await checkEnds(broker.port, TOPIC, load.histories)
  findings.check(`idle partitions ${when}`, load.histories.length, faults)
}

async function measureIdle(broker: Broker, findings: Findings, seconds: number): Promise<void> {
  await delay(SETTLE_MS)
  const before = cpuSecondsOf(broker.pid)
  const startMs = performance.now()
  await delay(seconds * 1000)
  const elapsedSeconds = (performance.now() - startMs) / 1000
  findings.figure('idleCpuPercent', ((cpuSecondsOf(broker.pid) - before) / elapsedSeconds) * 100, CPU_PERCENT_MAX)
  const { anonymousMib, descriptorCount, mappingCount } = holdingsOf(broker.pid)
  findings.figure('idleAnonymousMib', anonymousMib)
  findings.figure('idleDescriptors', descriptorCount, DESCRIPTORS_MAX)
  findings.figure('idleMappings', mappingCount, MAPPINGS_MAX)
}

async function timed(task: () => Promise<void>): Promise<number> {
  const startMs = performance.now()
  await task()
  return performance.now() - startMs
}
