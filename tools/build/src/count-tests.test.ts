import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { countReport, describeFailures, type TestReport, total } from './count-tests.ts'

const report = (over: Partial<TestReport>): TestReport => ({
  numPassedTests: 10,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  success: true,
  ...over,
})

describe('the count of tests', () => {
  it('adds up what passed and failed', () => {
    const reports = [report({}), report({ numPassedTests: 3, numFailedTests: 2, success: false })]
    const counts = reports.map((one) => countReport(one, !one.success))
    expect(total(counts)).toEqual({ passed: 13, failed: 2 })
  })

  it('takes a missing report, a skipped test and a run that failed without a failed test for failures', () => {
    expect(countReport(null, true)).toEqual({ passed: 0, failed: 1 })
    expect(countReport(report({ numPendingTests: 1 }), false).failed).toBe(1)
    expect(countReport(report({ numTodoTests: 2 }), false).failed).toBe(2)
    expect(countReport(report({ success: false }), true).failed).toBe(1)
    expect(countReport(report({}), true).failed).toBe(1)
  })
})

describe('the failures, told again', () => {
  it('names each failed or skipped test with the beginning of its message, and a file that did not load', () => {
    const long = Array.from({ length: 40 }, (_, line) => `line ${line}`).join('\n')
    const told = describeFailures(
      report({
        testResults: [
          {
            name: 'a.test.ts',
            message: '',
            assertionResults: [
              { fullName: 'adds', status: 'passed', failureMessages: [] },
              { fullName: 'takes away', status: 'failed', failureMessages: [long] },
              { fullName: 'divides', status: 'pending' },
            ],
          },
          { name: 'b.test.ts', message: 'Cannot find module', assertionResults: [] },
        ],
      }),
    )
    expect(told).toHaveLength(3)
    expect(told[0]).toContain('a.test.ts: takes away (failed)\n    line 0\n')
    expect(told[0]).not.toContain('line 12')
    expect(told[1]).toContain('a.test.ts: divides (pending)')
    expect(told[2]).toContain('b.test.ts:     Cannot find module')
    expect(describeFailures(null)).toEqual(['no report was written'])
  })
})

describe('the program that counts', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'count-tests-'))
  })

  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)

  function count(...args: string[]): string {
    const program = join(import.meta.dirname, 'count-tests.ts')
    const { stdout, status } = spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8' })
    return `${stdout.trim().split('\n').at(-1)}, exit ${status}`
  }

  it('passes only when something ran and nothing failed', () => {
    write('a.json', JSON.stringify(report({})))
    expect(count('a.json', 'a.json')).toBe('20 passed, 0 failed, exit 0')
    write('none.json', JSON.stringify(report({ numPassedTests: 0 })))
    expect(count('none.json')).toBe('0 passed, 0 failed, exit 1')
  })

  it('adds failed steps to failed tests', () => {
    write('a.json', JSON.stringify(report({ numFailedTests: 2, success: false })))
    write('a.json.failed', '')
    expect(count('--failures', '3', 'a.json')).toBe('10 passed, 5 failed, exit 1')
  })

  it('counts a run that died once, whether its report is missing, broken off or looks well', () => {
    write('well.json', JSON.stringify(report({})))
    write('well.json.failed', '')
    write('cut.json', JSON.stringify(report({})).slice(0, 20))
    expect(count('well.json', 'cut.json', 'missing.json')).toBe('10 passed, 3 failed, exit 1')
  })
})
