import { SimulatedClock, type SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { AppendResult, type Log } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import { batchOf, type Harness, type HarnessOptions, openStorage } from './storage-harness.ts'

/** A dozen records make a segment, and several index entries. */
export const SMALL: Partial<LogConfig> = {
  segmentBytes: 3000,
  indexIntervalBytes: 200,
  retentionMs: -1,
  fileDeleteDelayMs: 500,
}

export interface Opened extends Harness {
  clock: SimulatedClock
  timers: SimulatedTimers
}

/** Opens storage on a simulated disk; time stands still until it is advanced. */
export async function open(
  disk: SimulatedDisk,
  config: Partial<LogConfig> = SMALL,
  options: Omit<Partial<HarnessOptions>, 'disk' | 'config' | 'clock' | 'timers'> & {
    clock?: SimulatedClock
    timers?: SimulatedTimers
  } = {},
): Promise<Opened> {
  const clock = options.clock ?? new SimulatedClock()
  const timers = options.timers ?? new SimulatedTimers(clock)
  return { ...(await openStorage({ ...options, disk, clock, timers, config })), clock, timers }
}

/** Appends one batch; returns the error code. */
export function append(log: Log, values: readonly string[], epoch = 1): number {
  const result = new AppendResult()
  const batch = batchOf(values)
  return log.append(batch, 0, batch.length, 'client', epoch, result)
}

/** Lets everything happen that needs no time. */
export async function turns(count = 300): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}

/** Puts other contents in the place of a file's, durably. */
export function overwriteFile(disk: SimulatedDisk, path: string, contents: Buffer): void {
  const file = disk.openFile(path, { create: true })
  file.truncate(0)
  file.write(contents, 0, contents.length, 0)
  file.syncDataNow()
  file.close()
}

/** Appends until the active segment is being extended ahead, with large segments; gives what lets the extensions end, and their number. */
export async function extendSlowly(disk: SimulatedDisk, { manager }: Opened, log: Log): Promise<() => number> {
  const waiting: (() => void)[] = []
  disk.settle = (operation) =>
    operation === 'extend' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()
  const value = 'x'.repeat(200_000)
  for (let count = 0; count < 7; count++) append(log, [value])
  manager.flushStaged()
  await turns()
  if (!log.segments.active.extending) throw new Error('the segment is not being extended')
  return () => {
    for (const wake of waiting) wake()
    return waiting.length
  }
}

/** Appends batches of one record each until the log ends at `endOffset`, and lets everything be synced. */
export async function fill({ manager }: Opened, log: Log, endOffset: number, sizeBytes = 200): Promise<void> {
  while (log.logEndOffset < endOffset) {
    const code = append(log, [`value ${log.logEndOffset}`.padEnd(sizeBytes, '.')])
    if (code !== 0) throw new Error(`append: error ${code}`)
    manager.flushStaged()
  }
  await turns()
  if (log.durableOffset !== endOffset) throw new Error(`durable is ${log.durableOffset}, not ${endOffset}`)
}

/** What a start tells of files that are not what the mark says. */
export const WALKED = 'files are not as they were, walking the log'

export function logOf({ manager }: Opened): Log {
  return manager.log('topic', 0)!
}

/** Waits for checkpoint and durable mark to be in their files. */
export async function settle({ timers }: Opened, log: Log): Promise<void> {
  await log.checkpointer.complete()
  timers.advance(2000)
  await turns()
}
