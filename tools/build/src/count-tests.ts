/**
 * `count-tests.ts [--failures N] REPORT…` adds up vitest's JSON reports and prints `N passed, N failed` as its last line. A report that
 * is missing counts as a failure, as does a test that was skipped: nothing here may skip. `--failures` adds failed steps without tests.
 * Exits with 1 if anything failed or nothing ran.
 */
import { existsSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

/** The part of a report that counts. */
export interface TestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  /** Files that could not be loaded have no tests to fail. */
  readonly numFailedTestSuites: number
  readonly success: boolean
}

export interface TestCount {
  readonly passed: number
  readonly failed: number
}

/** Counts one report; null is one that its runner never wrote. */
export function countReport(report: TestReport | null): TestCount {
  if (report === null) return { passed: 0, failed: 1 }
  const failed = report.numFailedTests + report.numPendingTests + report.numTodoTests
  // A file that failed to load, or an error between tests, fails the run without failing a test.
  return { passed: report.numPassedTests, failed: failed === 0 && !report.success ? 1 : failed }
}

export function total(counts: readonly TestCount[]): TestCount {
  return {
    passed: counts.reduce((sum, { passed }) => sum + passed, 0),
    failed: counts.reduce((sum, { failed }) => sum + failed, 0),
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    options: { failures: { type: 'string', default: '0' } },
    allowPositionals: true,
  })
  const counts = positionals.map((path) =>
    countReport(existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null),
  )
  const { passed, failed } = total(counts)
  // A step that failed because of its tests is counted by them already.
  const all = failed === 0 ? Number(values.failures) : failed
  console.log(`${passed} passed, ${all} failed`)
  if (all > 0 || passed === 0) process.exitCode = 1
}
