import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Broker, startBroker } from '@millrace/e2e'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { LoadProcess } from '../../load/load-process.ts'
import { Neighbour } from '../../load/neighbour.ts'
import { descriptorCount, type HeldFiles, heldFiles, sampleProcess } from '../../load/process-sample.ts'
import { metricOf, scrape } from '../../load/scrape.ts'
import { percentile } from '../../load/statistics.ts'
import { createTopic, deleteTopic } from '../../load/topics.ts'
import { HostWatch } from '../../load/undisturbed-seconds.ts'
import { WireClient } from '../../load/wire-client.ts'
import { tooLittle } from '../../load/work.ts'
import { RECORDS_PER_BATCH } from './data-load.ts'
import { growthOf, judgeGrowth, type Window } from './flatness.ts'
import type { LoadPlan, LoadReport } from './load-plan.ts'

const MIB = 1024 * 1024
const TOPIC = 'mixed'
const PARTITIONS = 4
const neighbourHabits = { topic: 'neighbour', periodMs: 20, valueBytes: 1024 }
const WARM_UP_MS = 2000
const SAMPLE_MS = 500
/** The run is cut into so many stretches. */
const WINDOWS = 40
const MIN_WINDOW_MS = 1000
const HOST_LOOK_MS = 1000
/** The p99 of fewer is their largest one or two, which tell of the machine: short runs compare medians. */
const ENOUGH_FOR_P99 = 1000
/** After the load: for files to be deleted, and for the collector to find that nobody looks at their mappings. */
const COMING_BACK_MS = 60_000
/** Least of what an ordinary machine does of each in a second; far less would be a soak of nothing. */
const LEAST_PER_SECOND = { batches: 10, fetches: 4, groupCycles: 0.5, topicCycles: 0.2, visits: 2 }
/** Of what was produced and read, and of the neighbour's pace: consumers that follow miss only what retention took before they came. */
const LEAST_SHARE = 0.25

const settings = {
  'auto.create.topics.enable': 'false',
  'log.retention.check.interval.ms': '1000',
  // Ids of producers that came and went are forgotten within a run.
  'producer.id.expiration.ms': '5000',
}

/** Segments of a megabyte, of which four are kept. */
const topicConfigs = {
  'segment.bytes': '1048576',
  'retention.bytes': '4194304',
  'file.delete.delay.ms': '1000',
}

export const soakCampaign: Campaign = {
  name: 'soak',
  summary: 'everything that clients do, for long, with retention running: nothing may grow',
  // In half a minute a heap has not settled, and CI's machine has other work: growth is a figure there.
  sizes: { ci: { seconds: 25, judged: 0 }, full: { seconds: 3600, judged: 1 } },
  run,
}

async function run(context: CampaignContext): Promise<CampaignResult> {
  const broker = await startBroker(settings, { ownGroup: true })
  try {
    const admin = await WireClient.open(broker.port)
    await createTopic(admin, TOPIC, PARTITIONS, topicConfigs)
    await createTopic(admin, 'neighbour', 1, topicConfigs)
    admin.close()
    return await soak(broker, context)
  } finally {
    await broker.dispose()
  }
}

async function soak(broker: Broker, context: CampaignContext): Promise<CampaignResult> {
  const neighbour = await Neighbour.start(broker.port, neighbourHabits)
  const plan: LoadPlan = { port: broker.port, seed: context.seed, topic: TOPIC, partitionCount: PARTITIONS }
  const load = await LoadProcess.start<LoadPlan, LoadReport>(
    join(import.meta.dirname, 'load-program.ts'),
    plan,
    'yielding',
  )
  try {
    await delay(WARM_UP_MS)
    neighbour.take()
    const startMs = performance.now()
    const windows = await observe(broker, neighbour, context)
    const observedMs = performance.now() - startMs
    const report = await load.report()
    await load.kill()
    await neighbour.stop()
    await deleteAll(broker.port, [...report.topics, TOPIC, 'neighbour'])
    const left = await settle(broker, context.signal)
    const longestStallMs = metricOf(await scrape(broker.port), 'millrace_loop_longest_delay_seconds') * 1000
    const growth = growthOf(windows)
    // A run that was stopped is too short to tell growth, and what is held after it says nothing.
    const isStopped = context.signal.aborted
    const loadFaults = judgeLoad(report, produceCountOf(windows), observedMs)
    const verdicts = [
      ...(context.size.judged === 1 && !isStopped ? judgeGrowth(growth) : []),
      // One line if all of it is well.
      ...(loadFaults.length === 0 ? [null] : loadFaults),
      neighbour.errors.length === 0 ? null : `the neighbour: ${neighbour.errors.join('; ')}`,
      left.deleted.length === 0 || isStopped
        ? null
        : `deleted files are still held: ${left.deleted.slice(0, 5).join(', ')}`,
    ]
    const failures = verdicts.filter((found) => found !== null)
    const { batches, fetches, records, resets, groupCycles, topicCycles, visits } = report
    return {
      passedCount: verdicts.length - failures.length,
      failures,
      figures: {
        anonymousEndMb: (windows.at(-1)?.anonymousBytes ?? 0) / MIB,
        anonymousGrowthMb: growth.anonymousBytes / MIB,
        descriptorGrowth: growth.descriptors,
        mappingGrowth: growth.mappings,
        medianLatencyMs: growth.medianLatencyMs,
        latencyStretches: growth.latencyWindows,
        latencyGrowthMs: growth.latencyMs,
        longestStallMs,
        filesHeldAfter: left.open + left.mapped,
        ...{ batches, fetches, records, resets, groupCycles, topicCycles, visits },
      },
    }
  } finally {
    await load.kill()
    await neighbour.stop()
  }
}

async function observe(broker: Broker, neighbour: Neighbour, context: CampaignContext): Promise<Window[]> {
  const { size, signal, progress } = context
  const durationMs = size.seconds! * 1000
  const windowMs = Math.max(MIN_WINDOW_MS, durationMs / WINDOWS)
  const windows: Window[] = []
  const startMs = performance.now()
  for (let passedMs = 0; passedMs < durationMs && !signal.aborted; passedMs = performance.now() - startMs) {
    windows.push(await observeWindow(broker, neighbour, windowMs, signal))
    progress(Math.round(passedMs / 1000), Math.round(durationMs / 1000))
  }
  return windows
}

async function observeWindow(
  broker: Broker,
  neighbour: Neighbour,
  windowMs: number,
  signal: AbortSignal,
): Promise<Window> {
  const anonymous: number[] = []
  const files: HeldFiles[] = []
  const descriptors: number[] = []
  const latencies: number[] = []
  const undisturbed: number[] = []
  const host = new HostWatch()
  let lookedMs = performance.now()
  const endMs = lookedMs + windowMs
  do {
    anonymous.push(sampleProcess(broker.pid).anonymousBytes)
    files.push(heldFiles(broker.pid, broker.directory))
    // All of them: a connection that is not closed is as much of a leak as a file.
    descriptors.push(descriptorCount(broker.pid))
    await delay(SAMPLE_MS)
    if (performance.now() - lookedMs < HOST_LOOK_MS) continue
    lookedMs = performance.now()
    const measured = neighbour.take()
    latencies.push(...measured)
    if (host.wasUndisturbed()) undisturbed.push(...measured)
  } while (performance.now() < endMs && !signal.aborted)
  const median = (values: readonly number[]) => percentile(values, 0.5)
  latencies.push(...neighbour.take())
  return {
    anonymousBytes: Math.min(...anonymous),
    descriptors: median(descriptors),
    mappings: median(files.map(({ mapped }) => mapped)),
    latencyMs: latencyOf(latencies, undisturbed),
    produceCount: latencies.length,
  }
}

/** Null: the host was busy with others in nearly all of a stretch that is long enough for a p99. */
function latencyOf(all: readonly number[], undisturbed: readonly number[]): number | null {
  if (all.length < ENOUGH_FOR_P99) return percentile(all, 0.5)
  return undisturbed.length < ENOUGH_FOR_P99 ? null : percentile(undisturbed, 0.99)
}

const produceCountOf = (windows: readonly Window[]): number =>
  windows.reduce((sum, { produceCount }) => sum + produceCount, 0)

/** `observedMs`: how long the neighbour was observed; the load ran for longer. */
export function judgeLoad(report: LoadReport, neighbourProduces: number, observedMs: number): string[] {
  const seconds = (observedMs + WARM_UP_MS) / 1000
  const works = Object.entries(LEAST_PER_SECOND).map(([what, least]) => {
    return { what, count: report[what as keyof typeof LEAST_PER_SECOND], least: least * seconds }
  })
  const errors = report.errors.length === 0 ? [] : [`the load: ${report.errors.join('; ')}`]
  return [
    ...errors,
    ...tooLittle([
      ...works,
      { what: 'records consumed', count: report.records, least: LEAST_SHARE * report.batches * RECORDS_PER_BATCH },
      {
        what: 'produces of the neighbour',
        count: neighbourProduces,
        least: (LEAST_SHARE * observedMs) / neighbourHabits.periodMs,
      },
    ]),
  ]
}

/** Over a new connection: one that had waited for an hour would have been closed as idle. */
async function deleteAll(port: number, topics: readonly string[]): Promise<void> {
  const admin = await WireClient.open(port)
  for (const topic of topics) await deleteIfThere(admin, topic)
  admin.close()
}

/** The load was killed at any point: perhaps the topic that it told of is gone. */
async function deleteIfThere(admin: WireClient, topic: string): Promise<void> {
  try {
    await deleteTopic(admin, topic)
  } catch (error) {
    if (!String(error).includes('error 3')) throw error
  }
}

/** Until no deleted file is held any more, or the time for it is over. A client that asks now and then keeps the collector going. */
async function settle(broker: Broker, signal: AbortSignal): Promise<HeldFiles> {
  const endMs = performance.now() + COMING_BACK_MS
  for (;;) {
    await delay(1000)
    await scrape(broker.port)
    const left = heldFiles(broker.pid, broker.directory)
    if (left.deleted.length === 0 || performance.now() > endMs || signal.aborted) return left
  }
}
