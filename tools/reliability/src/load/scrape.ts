/** The numbers of a scrape of `/metrics`, by name with labels as they stand there. */
export type Metrics = ReadonlyMap<string, number>

export async function scrape(port: number): Promise<Metrics> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
  if (!answer.ok) throw new Error(`/metrics answered ${answer.status}`)
  return metricsIn(await answer.text())
}

export function metricsIn(text: string): Metrics {
  const metrics = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const space = line.lastIndexOf(' ')
    metrics.set(line.slice(0, space), Number(line.slice(space + 1).replace('+Inf', 'Infinity')))
  }
  return metrics
}

export interface BudgetReading {
  readonly name: string
  readonly used: number
  readonly limit: number
}

/** Every budget that the broker tells of. */
export function budgetsIn(metrics: Metrics): BudgetReading[] {
  const readings: BudgetReading[] = []
  for (const [key, used] of metrics) {
    const labels = /^millrace_budget_used(\{budget="([^"]+)".*\})$/.exec(key)
    if (labels === null) continue
    readings.push({ name: labels[2]!, used, limit: metrics.get(`millrace_budget_limit${labels[1]}`) ?? Number.NaN })
  }
  return readings
}
