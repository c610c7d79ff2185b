import { writeSync } from 'node:fs'
import { monotonicMs } from './monotonic.ts'

/**
 * Runs on one processor, before everything else there (`processor-watch.ts` pins it and gives it a real-time priority), and does nothing
 * but wake every half millisecond. When it wakes late, the processor stood still for all. Each line is such a time: start and end in
 * milliseconds of the system's monotonic clock.
 */

const PERIOD_MS = 0.5
/** Timers and the system's own work make it up to half a millisecond late now and then. */
const LATE_MS = 0.5

const never = new Int32Array(new SharedArrayBuffer(4))
writeSync(1, 'ready\n')
for (let wakeMs = monotonicMs(); ; ) {
  Atomics.wait(never, 0, 0, PERIOD_MS)
  const dueMs = wakeMs + PERIOD_MS
  wakeMs = monotonicMs()
  if (wakeMs - dueMs > LATE_MS) writeSync(1, `${dueMs.toFixed(3)} ${wakeMs.toFixed(3)}\n`)
}
