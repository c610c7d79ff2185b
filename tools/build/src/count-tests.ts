/**
 * `count-tests.ts [--failures N] REPORT…` adds up vitest's JSON reports and prints `N passed, N failed` as its last line. A report that
 * is missing or broken off counts as a failure, as does a test that was skipped: nothing here may skip. So does a run that failed
 * without a failed test, which its caller tells by a file `REPORT.failed`. `--failures` adds failed steps that write no report.
 * Before that line each failed test is named again with its message: of a long run often only the end is kept.
 * Exits with 1 if anything failed or nothing ran.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'

/** The part of a report that counts. */
export interface TestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly success: boolean
  readonly testResults?: readonly {
    readonly name?: string
    /** Why the file failed where none of its tests did. */
    readonly message?: string
    readonly assertionResults?: readonly TestOutcome[]
  }[]
}

export interface TestOutcome {
  readonly fullName: string
  readonly status: string
  readonly failureMessages?: readonly string[]
}

export interface TestCount {
  readonly passed: number
  readonly failed: number
}

/** Counts one report; null is one that its runner never finished. `runFailed`: the runner said so by its exit code. */
export function countReport(report: TestReport | null, runFailed: boolean): TestCount {
  if (report === null) return { passed: 0, failed: 1 }
  const failed = report.numFailedTests + report.numPendingTests + report.numTodoTests
  // A file that failed to load, an error between tests or a runner that died fails the run without failing a test.
  return { passed: report.numPassedTests, failed: failed === 0 && (runFailed || !report.success) ? 1 : failed }
}

/** Lines of a message that are told again: an assertion with the place in the test, without the whole of a stack. */
const TOLD_LINES = 12

/** What failed in a report, in words; null is a report that its runner never finished. */
export function describeFailures(report: TestReport | null): string[] {
  if (report === null) return ['no report was written']
  return (report.testResults ?? []).flatMap(({ name, message, assertionResults = [] }) => {
    const failed = assertionResults.filter(({ status }) => status !== 'passed')
    const file = failed.length === 0 && message ? [`${name}: ${abridge([message])}`] : []
    return [
      ...file,
      ...failed.map(
        (test) => `${name ?? ''}: ${test.fullName} (${test.status})\n${abridge(test.failureMessages ?? [])}`,
      ),
    ]
  })
}

function abridge(messages: readonly string[]): string {
  return messages
    .flatMap((message) => message.split('\n').slice(0, TOLD_LINES))
    .map((line) => `    ${line}`)
    .join('\n')
}

/** The report in a file, or null if it is missing or no report. */
function readReport(path: string): TestReport | null {
  if (!existsSync(path)) return null
  try {
    const report = JSON.parse(readFileSync(path, 'utf8'))
    return typeof report?.numPassedTests === 'number' ? report : null
  } catch (error) {
    console.error(`${path}: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
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
  const counts = positionals.map((path) => {
    const report = readReport(path)
    const count = countReport(report, existsSync(`${path}.failed`))
    if (count.failed > 0) {
      console.log(`${basename(path)}: ${count.failed} failed`)
      for (const text of describeFailures(report)) console.log(`  ${text}`)
    }
    return count
  })
  const { passed, failed } = total([...counts, { passed: 0, failed: Number(values.failures) }])
  console.log(`${passed} passed, ${failed} failed`)
  if (failed > 0 || passed === 0) process.exitCode = 1
}
