import { SeededRandom, type SimulatedClock, type SimulatedDisk, type SimulatedTimers } from '@millrace/base'
import { SMALL } from './log-driver.ts'
import { type Harness, openStorage } from './storage-harness.ts'

/** Of the directories between which the log is moved. */
export const MOVE_DIRECTORIES = ['/a', '/b']
/** A move copies so much at once, */
export const COPIED_BYTES = 1500
/** and has so long to take the place of the log. */
export const REPLACE_LIMIT_MS = 200
/** Enough for what begun moves still need, and for what happens by itself. */
const TURNS = 200

/** Opens storage on the directories between which logs are moved. Rejects as `LogManager.open` does. */
export function openMoved(
  disk: SimulatedDisk,
  clock: SimulatedClock,
  timers: SimulatedTimers,
  seed: number,
): Promise<Harness> {
  const random = new SeededRandom(seed)
  return openStorage({ disk, clock, timers, random, directories: MOVE_DIRECTORIES, config: SMALL })
}

/** Lets go on what needs no time. */
export async function turns(count = TURNS): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}
