import { describe, expect, it } from 'vitest'
import { countReport, type TestReport, total } from './count-tests.ts'

const report = (over: Partial<TestReport>): TestReport => ({
  numPassedTests: 10,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  numFailedTestSuites: 0,
  success: true,
  ...over,
})

describe('the count of tests', () => {
  it('adds up what passed and failed', () => {
    const counts = [report({}), report({ numPassedTests: 3, numFailedTests: 2, success: false })].map(countReport)
    expect(total(counts)).toEqual({ passed: 13, failed: 2 })
  })

  it('takes a missing report, a skipped test and a file that did not load for failures', () => {
    expect(countReport(null)).toEqual({ passed: 0, failed: 1 })
    expect(countReport(report({ numPendingTests: 1 })).failed).toBe(1)
    expect(countReport(report({ numTodoTests: 2 })).failed).toBe(2)
    expect(countReport(report({ numFailedTestSuites: 1, success: false })).failed).toBe(1)
  })
})
