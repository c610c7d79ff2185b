import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Broker, startBroker } from '@millrace/e2e'
import { CodecId } from '@millrace/protocol'
import type { Campaign, CampaignContext, CampaignResult, Size } from '../../campaign.ts'
import { LoadProcess } from '../../load/load-process.ts'
import { Neighbour } from '../../load/neighbour.ts'
import { descriptorCount, descriptorLimit, sampleProcess } from '../../load/process-sample.ts'
import { ProcessorWatch } from '../../load/processor-watch.ts'
import { type BudgetReading, budgetsIn, type Metrics, metricOf, scrape } from '../../load/scrape.ts'
import { collectSpell, type Spell } from '../../load/spell.ts'
import { percentile } from '../../load/statistics.ts'
import { batchOf, createTopic, produce } from '../../load/topics.ts'
import { WireClient } from '../../load/wire-client.ts'
import type { Work } from '../../load/work.ts'
import type { CrowdPlan, CrowdReport } from './crowd-plan.ts'
import { PeakWatch } from './peaks.ts'
import { judge, largeProduces, type Observation } from './verdict.ts'

const MIB = 1024 * 1024
/** As small as they may be, so that the crowd reaches them. */
const REQUEST_BUDGET_BYTES = 100 * MIB
const ANSWER_BUDGET_BYTES = 64 * MIB
/** Largest frame with its size field, in whole mebibytes, while it moves into its last buffer. */
const FRAME_IN_PROGRESS_BYTES = (101 + 64) * MIB
/** Of a connection: its objects, Node's and the library's. */
const CONNECTION_BYTES = 24 * 1024
/** What the collector has not got to yet, and what native allocators keep. */
const HEAP_SLACK_BYTES = 192 * MIB
/** Of a heap that has grown, beside what connections took. */
const KEPT_SLACK_BYTES = 64 * MIB

const neighbourHabits = { topic: 'neighbour', periodMs: 10, valueBytes: 1024 }
/** Its frames arrive in several pieces: they need memory while they do, which others have taken. */
const largeHabits = { topic: 'large', periodMs: 1000, valueBytes: 600_000 }
const WARM_UP_MS = 2000
/** The broker still works off what hundreds of slow readers asked for when the last of the crowd has come. */
const GATHERED_MS = 5000
/** In all, to find as many undisturbed seconds as are wanted. */
const MAX_SPELL_SECONDS = 900
const LEAST_QUIET_SECONDS = 4
/** Idle buffers are given back after half a minute to a minute. */
const COMING_BACK_MS = 75_000
const BUSY_PARTITIONS = 8
/** The answer to a request for all metadata takes so many partitions. */
const WIDE_PARTITIONS = 200
const BULK_BATCHES = 64
const OTHER_DESCRIPTORS = 600
const GARBAGE_PER_SECOND = 20
const VISITS_PER_SECOND = 50
/** The share of what was meant to happen without which a run tells nothing. */
const LEAST_SHARE = 0.5
/** The same where others use the machine too, and times are not judged. */
const LEAST_SHARE_UNJUDGED = 0.1

const settings = {
  'auto.create.topics.enable': 'false',
  'queued.max.request.bytes': String(REQUEST_BUDGET_BYTES),
  'queued.max.response.bytes': String(ANSWER_BUDGET_BYTES),
  // Slow readers and half-sent frames are closed within a run, and come again.
  'answer.read.timeout.ms': '10000',
  // A run may last longer than the ten minutes after which idle connections are closed.
  'connections.max.idle.ms': '7200000',
}

export const overloadCampaign: Campaign = {
  name: 'overload',
  summary:
    'a crowd of idle, slow, greedy and broken clients; a neighbour must not notice, and memory must stay in bounds',
  sizes: {
    ci: { idle: 1000, busy: 50, busyRequests: 250, slow: 50, halfSent: 10, seconds: 8, judged: 0 },
    full: { idle: 10_000, busy: 200, busyRequests: 500, slow: 500, halfSent: 50, seconds: 60, judged: 1 },
  },
  run,
}

async function run(context: CampaignContext): Promise<CampaignResult> {
  const { size } = context
  const wanted = connectionsOf(size) + OTHER_DESCRIPTORS
  if (descriptorLimit() < wanted) {
    throw new Error(
      `${wanted} connections need as many descriptors, and this shell allows ${descriptorLimit()}: raise ulimit -n`,
    )
  }
  const processors = size.judged === 1 ? await ProcessorWatch.start() : null
  try {
    const broker = await startBroker(settings, { ownGroup: true })
    try {
      await prepare(broker.port)
      return await attack(broker, processors, context)
    } finally {
      await broker.dispose()
    }
  } finally {
    await processors?.stop()
  }
}

async function prepare(port: number): Promise<void> {
  const client = await WireClient.open(port)
  await createTopic(client, 'neighbour', 1)
  await createTopic(client, 'large', 1, { 'retention.bytes': '67108864' })
  await createTopic(client, 'busy', BUSY_PARTITIONS)
  await createTopic(client, 'wide', WIDE_PARTITIONS)
  await createTopic(client, 'bulk', 1)
  const batch = batchOf(CodecId.NONE, 1, Buffer.alloc(1_000_000, 'b'))
  for (let n = 0; n < BULK_BATCHES; n++) await produce(client, 'bulk', 0, batch)
  client.close()
}

/** Collects the neighbour's latencies for so long: where times are judged, for so many undisturbed seconds. */
function spellOf(
  neighbour: Neighbour,
  processors: ProcessorWatch | null,
  { size, signal, progress }: CampaignContext,
  seconds: number,
): Promise<Spell> {
  neighbour.take()
  processors?.take()
  return collectSpell({
    takeWaits: () => neighbour.takeWaits(),
    takeStandstills: processors === null ? null : () => processors.take(),
    wantedSeconds: seconds,
    maxSeconds: size.judged === 1 ? MAX_SPELL_SECONDS : seconds,
    signal,
    progress: (done) => progress(done, seconds),
  })
}

/** What neighbours' produces took, in ms. */
interface Latencies {
  readonly quietBefore: Spell
  readonly gathering: readonly number[]
  readonly loaded: Spell
  readonly largeLoaded: readonly number[]
  readonly quietAfter: Spell
}

function latencyFigures({ quietBefore, gathering, loaded, largeLoaded, quietAfter }: Latencies) {
  return {
    quietP99BeforeMs: percentile(quietBefore.undisturbed, 0.99),
    quietP99AfterMs: percentile(quietAfter.undisturbed, 0.99),
    gatheringP99Ms: percentile(gathering, 0.99),
    loadedP50Ms: percentile(loaded.undisturbed, 0.5),
    loadedP99Ms: percentile(loaded.undisturbed, 0.99),
    loadedMaxMs: percentile(loaded.undisturbed, 1),
    undisturbedSeconds: loaded.undisturbedSeconds,
    seconds: loaded.seconds,
    standstillShare: loaded.standstillShare,
    quietStandstillShare: Math.max(quietBefore.standstillShare, quietAfter.standstillShare),
    allQuietP99Ms: Math.max(percentile(quietBefore.all, 0.99), percentile(quietAfter.all, 0.99)),
    allLoadedP99Ms: percentile(loaded.all, 0.99),
    largeMostMs: percentile(largeLoaded, 1),
  }
}

function planOf({ size, seed }: CampaignContext, port: number): CrowdPlan {
  return {
    port,
    seed,
    idle: size.idle!,
    busy: size.busy!,
    busyRequestsPerSecond: size.busyRequests!,
    slow: size.slow!,
    halfSent: size.halfSent!,
    garbagePerSecond: GARBAGE_PER_SECOND,
    visitsPerSecond: VISITS_PER_SECOND,
    bulkTopic: 'bulk',
    busyTopic: 'busy',
    busyPartitions: BUSY_PARTITIONS,
  }
}

/** A quiet spell, the crowd, and another quiet spell once all of it has gone. */
async function attack(
  broker: Broker,
  processors: ProcessorWatch | null,
  context: CampaignContext,
): Promise<CampaignResult> {
  const { size, signal } = context
  const quietSeconds = Math.max(LEAST_QUIET_SECONDS, size.seconds! / 2)
  const neighbour = await Neighbour.start(broker.port, neighbourHabits)
  const large = await Neighbour.start(broker.port, largeHabits)
  await delay(WARM_UP_MS)
  // The first scrape loads what all others use: a monitored broker has had one.
  await scrape(broker.port)
  const quietBefore = await spellOf(neighbour, processors, context, quietSeconds)
  const descriptorsBefore = descriptorCount(broker.pid)
  const anonymousBeforeBytes = sampleProcess(broker.pid).anonymousBytes
  context.report('   the crowd comes')
  const program = join(import.meta.dirname, 'crowd-program.ts')
  const peakWatch = PeakWatch.start(broker.pid, broker.port)
  // Its clients would be on other machines. Beside other work, where no times are judged, it could starve.
  const priority = size.judged === 1 ? 'idle' : 'yielding'
  const crowd = await LoadProcess.start<CrowdPlan, CrowdReport>(program, planOf(context, broker.port), priority)
  try {
    await delay(GATHERED_MS)
    // What gathering them cost is measured, but apart: they came all at once.
    const gathering = neighbour.take()
    large.take()
    const before = await crowd.report()
    const startMs = performance.now()
    const loaded = await spellOf(neighbour, processors, context, size.seconds!)
    const passedMs = performance.now() - startMs
    const largeLoaded = large.take()
    const peaks = await peakWatch.stop()
    const metrics = await scrape(broker.port)
    const report = await crowd.report()
    await crowd.kill()
    context.report('   the crowd is gone')
    const anonymousKeptBytes = connectionsOf(size) * CONNECTION_BYTES + KEPT_SLACK_BYTES
    const after = await settle(broker, anonymousBeforeBytes + anonymousKeptBytes, signal)
    const quietAfter = await spellOf(neighbour, processors, context, quietSeconds)
    await Promise.all([neighbour.stop(), large.stop()])
    const seen: Observation = {
      judgesTimes: size.judged === 1,
      quietP99Ms: Math.max(percentile(quietBefore.undisturbed, 0.99), percentile(quietAfter.undisturbed, 0.99)),
      loadedP99Ms: percentile(loaded.undisturbed, 0.99),
      undisturbedSecondsMissing: Math.max(
        quietSeconds - quietBefore.undisturbedSeconds,
        size.seconds! - loaded.undisturbedSeconds,
        quietSeconds - quietAfter.undisturbedSeconds,
      ),
      neighbourErrors: [...neighbour.errors, ...large.errors],
      largeMostMs: largeLoaded.length === 0 ? Number.POSITIVE_INFINITY : percentile(largeLoaded, 1),
      busyErrors: report.busyErrors,
      anonymousBeforeBytes,
      anonymousMostBytes: peaks.anonymousBytes,
      anonymousAfterBytes: after.anonymousBytes,
      anonymousAllowedBytes: allowedBytes(size),
      anonymousKeptBytes,
      descriptorsBefore,
      descriptorsAfter: after.descriptors,
      idleWanted: size.idle!,
      idleKept: report.idleOpen,
      works: worksOf(size, passedMs, { neighbour: loaded.all.length, large: largeLoaded.length }, before, report),
      budgetsUnderLoad: peaks.budgets,
      budgetsAfter: after.budgets,
    }
    // Of a run that was stopped nothing has come to rest.
    const verdicts = signal.aborted ? [] : judge(seen)
    const failures = verdicts.filter((found) => found !== null)
    return {
      passedCount: verdicts.length - failures.length,
      failures,
      figures: {
        ...latencyFigures({ quietBefore, gathering, loaded, largeLoaded, quietAfter }),
        anonymousBeforeMb: anonymousBeforeBytes / MIB,
        anonymousMostMb: peaks.anonymousBytes / MIB,
        anonymousAfterMb: after.anonymousBytes / MIB,
        requestFramesMostMb: (peaks.budgets.find(({ name }) => name === 'request-frames')?.used ?? Number.NaN) / MIB,
        largeProduces: largeLoaded.length,
        longestStallMs: metricOf(metrics, 'millrace_loop_longest_delay_seconds') * 1000,
        ...closedBy(metrics),
        ...countsOf(report),
      },
    }
  } finally {
    const untold = peakWatch.abandon()
    if (untold !== null) process.stderr.write(`overload: the broker could not be watched: ${String(untold)}\n`)
    await crowd.kill()
    await Promise.all([neighbour.stop(), large.stop()])
  }
}

function countsOf(report: CrowdReport): Record<string, number> {
  const { busyRequests, garbageSent, visits, slowBegun, halfSentBegun } = report
  return { busyRequests, garbageSent, visits, slowBegun, halfSentBegun }
}

/** What was to be done under load, and what was; `before` is what the crowd told when all of it was there. */
function worksOf(
  size: Size,
  loadedMs: number,
  produces: { readonly neighbour: number; readonly large: number },
  before: CrowdReport,
  report: CrowdReport,
): Work[] {
  const share = size.judged === 1 ? LEAST_SHARE : LEAST_SHARE_UNJUDGED
  const least = (loadedMs / 1000) * share
  const busy = report.busyRequests - before.busyRequests
  const wantsBusy = size.busy! > 0
  return [
    {
      what: 'produces of the neighbour',
      count: produces.neighbour,
      least: (least * 1000) / neighbourHabits.periodMs,
    },
    largeProduces(produces.large, loadedMs, share),
    { what: 'requests of busy clients', count: busy, least: wantsBusy ? least * size.busyRequests! : 0 },
    { what: 'pieces of garbage', count: report.garbageSent - before.garbageSent, least: least * GARBAGE_PER_SECOND },
    { what: 'visits', count: report.visits - before.visits, least: least * VISITS_PER_SECOND },
    { what: 'slow readers', count: report.slowBegun, least: size.slow! },
    { what: 'frames half sent', count: report.halfSentBegun, least: size.halfSent! },
  ]
}

/** Connections that the broker closed, by its own count: a client that does not read does not notice. */
function closedBy(metrics: Metrics): Record<string, number> {
  const count = (state: string) => metricOf(metrics, `millrace_connections_total{state="${state}"}`)
  return {
    unreadClosed: count('closed-unread'),
    shedClosed: count('closed-shed'),
    stalledClosed: count('closed-stalled'),
    slowFrameClosed: count('closed-slow-frame'),
  }
}

function connectionsOf(size: Size): number {
  return size.idle! + size.busy! + size.slow! + size.halfSent!
}

/** What all that is bounded may add up to: the sum is `docs/memory.md`'s. */
function allowedBytes(size: Size): number {
  return (
    REQUEST_BUDGET_BYTES +
    FRAME_IN_PROGRESS_BYTES +
    ANSWER_BUDGET_BYTES +
    connectionsOf(size) * CONNECTION_BYTES +
    HEAP_SLACK_BYTES
  )
}

interface Aftermath {
  readonly anonymousBytes: number
  readonly descriptors: number
  readonly budgets: BudgetReading[]
}

/** Until everything is back, or the time for it is over. */
async function settle(broker: Broker, keptBytes: number, signal: AbortSignal): Promise<Aftermath> {
  const endMs = performance.now() + COMING_BACK_MS
  for (;;) {
    await delay(1000)
    const budgets = budgetsIn(await scrape(broker.port))
    const connections = budgets.find(({ name }) => name === 'connections')?.used ?? Number.NaN
    const aftermath = {
      anonymousBytes: sampleProcess(broker.pid).anonymousBytes,
      descriptors: descriptorCount(broker.pid),
      budgets,
    }
    const isBack = connections <= 4 && aftermath.anonymousBytes <= keptBytes
    if (isBack || performance.now() > endMs || signal.aborted) return aftermath
  }
}
