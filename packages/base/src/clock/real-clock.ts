import type { Clock } from '../clock.ts'

/** The process's clocks. */
export class RealClock implements Clock {
  monotonicMs(): number {
    return performance.now()
  }

  wallMs(): number {
    return Date.now()
  }
}
