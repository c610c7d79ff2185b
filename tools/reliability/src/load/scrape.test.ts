import { expect, test } from 'vitest'
import { budgetsIn, metricOf, metricsIn } from './scrape.ts'

test('budgets are read from a scrape', () => {
  const metrics = metricsIn(`# HELP x y
# TYPE millrace_budget_used gauge
millrace_budget_used{budget="answers",unit="bytes"} 12
millrace_budget_used{budget="connections",unit="count"} 3
millrace_budget_limit{budget="answers",unit="bytes"} 100
millrace_budget_limit{budget="connections",unit="count"} +Inf
other 1.5e3
`)
  expect(budgetsIn(metrics)).toEqual([
    { name: 'answers', used: 12, limit: 100 },
    { name: 'connections', used: 3, limit: Number.POSITIVE_INFINITY },
  ])
  expect(metricOf(metrics, 'other')).toBe(1500)
  expect(() => metricOf(metrics, 'another')).toThrow('no another')
})
