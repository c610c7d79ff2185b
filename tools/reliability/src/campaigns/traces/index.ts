import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { attackWithFault, attackWithLies, exploreTrace, sampleWorkload } from './attacks.ts'
import { flavourOf } from './flavours.ts'
import { missingFaults, Tally } from './tally.ts'

/** From this many fault runs on, a fault class that befell nothing is a gap in the workload. */
const FAULT_RUNS_FOR_ALL = 2000

export const tracesCampaign: Campaign = {
  name: 'traces',
  summary:
    'crashes of storage on a simulated disk: all outcomes of short traces, random ones of long ones, failing disks',
  sizes: {
    ci: { traces: 3, operations: 20, outcomes: 30, samples: 200, faults: 80, lies: 3 },
    full: { traces: 50, operations: 200, outcomes: 400, samples: 100_000, faults: 5000, lies: 200 },
  },
  run,
}

async function run(context: CampaignContext): Promise<CampaignResult> {
  const tally = new Tally()
  // A broken promise inside storage has no other way to be seen.
  const onUnhandled = (error: unknown): void => {
    tally.failures.push(`unhandled rejection: ${error instanceof Error ? error.stack : error}`)
  }
  process.on('unhandledRejection', onUnhandled)
  try {
    await attack(context, tally)
  } finally {
    process.off('unhandledRejection', onUnhandled)
  }
  const { recoveries = 0, faultRuns = 0 } = tally.figures
  return { passedCount: recoveries + faultRuns, failures: tally.failures, figures: tally.figures }
}

async function attack({ size, seed, signal, progress, report }: CampaignContext, tally: Tally): Promise<void> {
  const { traces = 0, operations = 0, outcomes = 0, samples = 0, faults = 0, lies = 0 } = size
  let askedCount = 0
  // Simulated time leaves the process no turn to notice a signal or a broken promise in: it is given one now and then.
  const isStopped = async (): Promise<boolean> => {
    if (askedCount++ % ASKED_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    return signal.aborted || tally.isStopped
  }
  const firstSeed = seed * 1_000_000
  // A trace takes as long as hundreds of samples.
  const totalCount = traces * TRACE_WEIGHT + samples + faults + lies
  let doneCount = 0
  const advance = (count: number): void => {
    doneCount += count
    progress(doneCount, totalCount)
  }
  const different = new Set<string>()
  for (let number = 0; number < traces && !(await isStopped()); number++) {
    const startMs = performance.now()
    different.add(await exploreTrace(firstSeed + number, operations, outcomes, tally, isStopped))
    const seconds = (performance.now() - startMs) / 1000
    if (seconds > 60)
      report(`trace ${firstSeed + number} (${flavourOf(firstSeed + number)}) took ${seconds.toFixed(0)} s`)
    tally.add('traces')
    advance(TRACE_WEIGHT)
  }
  tally.add('differentTraces', different.size)
  for (let number = 0, left = samples; left > 0 && !(await isStopped()); number++) {
    const count = await sampleWorkload(firstSeed + number, left, tally)
    left -= Math.max(1, count)
    advance(count)
  }
  for (let number = 0; number < faults && !(await isStopped()); number++) {
    await attackWithFault(firstSeed + number, tally)
    advance(1)
  }
  for (let number = 0; number < lies && !(await isStopped()); number++) {
    await attackWithLies(firstSeed + number, tally)
    advance(1)
  }
  const missing = faults >= FAULT_RUNS_FOR_ALL && !(await isStopped()) ? missingFaults(tally.figures) : []
  if (missing.length > 0) tally.failures.push(`faults that befell nothing: ${missing.join(', ')}`)
}

const TRACE_WEIGHT = 1000
const ASKED_PER_TURN = 8
