import { describe, expect, it } from 'vitest'
import { compare, type JestReport, specResults } from './results.ts'

const spec = (fullName: string, status: string) => ({
  fullName,
  status,
  failureMessages: status === 'failed' ? ['why'] : null,
})

describe('the comparison of a kafkajs run', () => {
  const report: JestReport = {
    testResults: [
      {
        name: '/copy/src/admin/a.spec.js',
        message: '',
        assertionResults: [spec('A works', 'passed'), spec('A breaks', 'failed')],
      },
      { name: '/copy/src/b.spec.js', message: '', assertionResults: [spec('B is left out', 'pending')] },
    ],
  }
  const results = specResults(report, '/copy/src')

  it('names specs by file and full name and leaves out those that did not run', () => {
    expect(results.map(({ name, passed }) => [name, passed])).toEqual([
      ['admin/a.spec.js > A works', true],
      ['admin/a.spec.js > A breaks', false],
    ])
  })

  it('tells apart what passed, what failed and what was never run', () => {
    const names = ['admin/a.spec.js > A works', 'admin/a.spec.js > A breaks', 'b.spec.js > B is left out']
    const comparison = compare(results, names)
    expect(comparison.passed).toEqual([names[0]])
    expect(comparison.failed).toEqual([{ name: names[1], message: 'why' }])
    expect(comparison.absent).toEqual([names[2]])
    expect(comparison.expectedCount).toBe(3)
  })

  it('does not let a pass hide a failure of the same name', () => {
    const name = 'x.spec.js > X'
    const both = [true, false, true].map((passed) => ({ name, passed, message: '' }))
    expect(compare(both, [name]).passed).toEqual([])
  })
})
