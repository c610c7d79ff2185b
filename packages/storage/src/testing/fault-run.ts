import { AssertionError, DiskError, RandomChoices, SeededRandom, type SimulatedDisk } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { AppendResult } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import type { CrashCheck } from './crash-check.ts'
import { sampleCrash } from './crash-explorer.ts'
import { type CrashPoint, CrashWorkload, MIXED_STEPS, type StepWeights } from './crash-workload.ts'
import { FaultInjector, type FaultPlan } from './fault-plan.ts'
import { fail } from './invariant.ts'
import { publishRenamed } from './published-files.ts'
import { batchOf } from './storage-harness.ts'

/** A clean stop waits for what never ends: that is the operator's to end. */
const STEPS: StepWeights = { ...MIXED_STEPS, stop: 0, kill: 0, 'lose power': 0 }
/** Files are closed, and opened again by the same process or the next one, which must not start without descriptors: see `onStarted`. */
const CROWDED_STEPS: StepWeights = { ...STEPS, 'close idle': 8, truncate: 6, kill: 1.5, 'lose power': 0.7 }
/** Logs that grow fast, in segments with room: else no file is extended ahead. */
const FAST_STEPS: StepWeights = { ...STEPS, 'append fast': 6 }
const ROOMY: Partial<LogConfig> = { segmentBytes: 16 << 20 }
const READING_STEPS: StepWeights = { ...STEPS, read: 25 }
/** What ends on the thread pool, whenever it began, and what timers take away: allowed when the directory has failed. */
const ENDINGS = new Set(['sync', 'sync directory', 'extend', 'remove'])
/** An input/output error of these is final: what is on the disk is not known any more. A read costs its reader only. */
const FINAL = new Set(['write', 'sync', 'truncate', 'extend', 'create', 'rename', 'sync directory'])

export interface FaultRunResult {
  /** How often the fault befell something. */
  firedCount: number
  /** The directory was reported offline. */
  isOffline: boolean
}

/**
 * Runs a workload on a disk with a fault, and checks: nothing is written to a directory that has failed, nothing of it becomes durable
 * (S7); a full disk or want of a descriptor refuses appends, and they are taken again once there is space or one (S9); what a crash leaves
 * holds all that was acknowledged.
 * Rejects with `InvariantError`.
 */
export async function runWithFault(
  plan: FaultPlan,
  seed: number,
  mapping: boolean,
  check: CrashCheck,
): Promise<FaultRunResult> {
  const workload = new CrashWorkload({
    seed,
    stepCount: 60,
    crashShare: 0.01,
    mapping,
    steps: stepsOf(plan),
    ...(plan.operation === 'extend' ? { config: ROOMY } : {}),
    isFaulty: true,
    disk: { finePageBytes: 1024 },
  })
  const injector = new FaultInjector(plan)
  workload.delay = (operation) => injector.delay(operation)
  workload.onStarted = (disk) => injector.install(disk)
  await workload.run()
  await turns(200)
  const isOffline = workload.harness.failures.length > 0
  checkFailed(plan, injector.firedCount, workload, check)
  if (plan.kind === 'no descriptor') checkGoesOn(workload, check)
  if (isOffline) await checkOffline(workload, check)
  injector.end()
  await turns(200)
  checkReads(plan, workload, check)
  if (!isOffline && plan.kind !== 'never ends') await checkRecovers(workload, check)
  // Metadata of a log that is being made, of which a part was written: nothing of the log was promised, and it may be anyone's.
  if (plan.kind === 'short write') check.acceptedErrors.add('log left out')
  const random = new SeededRandom(seed)
  const last: CrashPoint = workload.pointNow('the end')
  for (const point of [...workload.crashPoints.slice(-4), last]) await sampleCrash(check, point, random)
  return { firedCount: injector.firedCount, isOffline }
}

function stepsOf({ kind, operation }: FaultPlan): StepWeights {
  if (kind === 'no descriptor') return CROWDED_STEPS
  if (operation === 'extend') return FAST_STEPS
  return operation === 'read' ? READING_STEPS : STEPS
}

/** Reads that the disk let end have ended, each with what was appended or with an error. */
function checkReads({ kind }: FaultPlan, { reads }: CrashWorkload, check: CrashCheck): void {
  check.evaluations.S2 += reads.endedCount
  reads.check()
  if (kind !== 'never ends' && reads.pendingCount > 0) fail('S9', `${reads.pendingCount} reads do not end`)
}

/** After an error that leaves the disk's contents unknown the directory does not go on. What befell a deleted log says nothing. */
function checkFailed(
  { kind, operation }: FaultPlan,
  firedCount: number,
  workload: CrashWorkload,
  check: CrashCheck,
): void {
  if (kind !== 'input/output error' || !FINAL.has(operation) || firedCount === 0 || workload.deletedCount > 0) return
  check.evaluations.S7++
  if (workload.harness.failures.length === 0) fail('S7', `the directory goes on after a failed ${operation}`)
}

/** Want of a descriptor refuses what needs one, and nothing else: at no moment is it final. */
function checkGoesOn({ harness: { failures } }: CrashWorkload, check: CrashCheck): void {
  check.evaluations.S9++
  if (failures.length > 0) fail('S9', `the directory failed for want of a descriptor: ${failures[0]!.error.message}`)
}

/** Once the directory has failed, what runs ends and nothing begins. */
async function checkOffline(workload: CrashWorkload, check: CrashCheck): Promise<void> {
  const logs = workload.logs.flatMap(({ log }) => (log === null ? [] : [log]))
  const durable = logs.map(({ durableOffset }) => durableOffset)
  let changed: string | null = null
  workload.onOperation = (operation, path) => {
    if (!ENDINGS.has(operation)) changed ??= `${operation} ${path}`
  }
  workload.letAllGo()
  await turns(200)
  for (const log of logs) {
    const batch = batchOf(['refused'])
    const code = log.append(batch, 0, batch.length, 'client', log.latestEpoch, new AppendResult())
    check.evaluations.S7++
    if (code !== ErrorCode.KAFKA_STORAGE_ERROR) fail('S7', `append to a failed directory: ${code}`)
  }
  workload.harness.manager.flushStaged()
  workload.timers.advance(120_000)
  await turns(200)
  if (changed !== null) fail('S7', `${changed} after the directory had failed`)
  for (const [slot, log] of logs.entries()) {
    check.evaluations.S7++
    if (log.durableOffset > durable[slot]!) fail('S7', `durable offset rose after the directory had failed`)
  }
}

/** With the fault over, appends are taken again within seconds, and become durable. */
async function checkRecovers(workload: CrashWorkload, check: CrashCheck): Promise<void> {
  workload.letAllGo()
  for (let second = 0; second < 3; second++) {
    workload.timers.advance(1500)
    await turns(300)
  }
  for (const entry of workload.logs) {
    if (entry.log === null) continue
    check.evaluations.S9++
    const code = entry.append(['after the fault'], workload.epoch, 1000, -1, false)
    if (code !== ErrorCode.NONE) fail('S9', `append after the fault: ${code}`)
  }
  workload.harness.manager.flushStaged()
  await turns(300)
  if (workload.harness.failures.length > 0) {
    fail('S9', `the directory failed after the fault: ${workload.harness.failures[0]!.error.message}`)
  }
  for (const { log } of workload.logs) {
    check.evaluations.S9++
    if (log !== null && log.durableOffset < log.logEndOffset) fail('S9', 'an append after the fault is not synced')
  }
}

/**
 * A fault befalls the recovery of what a crash left. It may be refused, with the disk's error; the next one, on a sound disk, must find
 * all that was there (S9, S10). Whether the fault befell it.
 */
export async function recoverWithFault(
  plan: FaultPlan,
  point: CrashPoint,
  random: SeededRandom,
  check: CrashCheck,
): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  const injector = new FaultInjector(plan)
  injector.install(disk)
  disk.onChange = (operation, path) => {
    if (operation === 'rename') publishRenamed(disk, path, point.published)
  }
  disk.settle = (operation) => injector.delay(operation) ?? Promise.resolve()
  await openOnFaultyDisk(disk, check)
  disk.onChange = () => undefined
  const after = random.uint32() % 2 === 0 ? disk.killed() : disk.crashed(new RandomChoices(random))
  await check.check(after, point)
  return injector.firedCount > 0
}

async function openOnFaultyDisk(disk: SimulatedDisk, check: CrashCheck): Promise<void> {
  try {
    await check.openOn(disk)
  } catch (error) {
    if (error instanceof AssertionError || !(error instanceof DiskError)) throw error
    // Refused: the operator mends the disk and starts again.
    return
  }
  await turns(200)
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}
