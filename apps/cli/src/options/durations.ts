import { usageError } from '../command/cli-error.ts'

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** Whole milliseconds of `250ms`, `30s`, `15m`, `2h`, `1d`, `1w`, sums as `1h30m`, and plain milliseconds; null for anything else. */
export function parseDuration(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(text)) return null
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g))
    totalMs += Number(amount) * UNITS[unit!]!
  return Math.round(totalMs)
}

/** As {@link parseDuration} for an option that must have one. Throws a usage error. */
export function requireDuration(option: string, text: string): number {
  const durationMs = parseDuration(text)
  if (durationMs === null) throw usageError(`${option} ${text}: not a duration`, 'Write 500ms, 30s, 15m, 2h or 1d.')
  return durationMs
}

/**
 * Milliseconds since the epoch of `now`, an ISO date (local time unless it says otherwise), epoch milliseconds (12 digits and more), or
 * a time ago (`-15m`); null for anything else.
 */
export function parseTime(text: string, nowMs: number): number | null {
  if (text === 'now') return nowMs
  if (/^\d{12,}$/.test(text)) return Number(text)
  if (text.startsWith('-')) {
    const agoMs = /^-\d+$/.test(text) ? null : parseDuration(text.slice(1))
    return agoMs === null ? null : nowMs - agoMs
  }
  if (!/^\d{4}-\d{2}(-\d{2})?([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/.test(text)) return null
  // A date alone would be read as UTC, a date with a time as local.
  const timeMs = Date.parse(text.length <= 10 ? `${text.padEnd(10, '-01')}T00:00` : text.replace(' ', 'T'))
  return Number.isNaN(timeMs) ? null : timeMs
}

/** As {@link parseTime} for an option that must have one. Throws a usage error. */
export function requireTime(option: string, text: string, nowMs: number): number {
  const timeMs = parseTime(text, nowMs)
  if (timeMs === null) {
    throw usageError(`${option} ${text}: not a time`, 'Write 2026-11-21T10:00, 1795257624822 (ms), -15m (ago) or now.')
  }
  return timeMs
}

/** A duration for people: `850 ms`, `12.3 s`, `4 m 5 s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(1)} s`
  const seconds = Math.round(durationMs / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} m`
}
