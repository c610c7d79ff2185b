import { get } from 'node:http'

const SCRAPE_MAX_MS = 30_000

/** The numbers of a scrape of `/metrics`, by name with labels as they stand there. */
export type Metrics = ReadonlyMap<string, number>

/** Over a connection of its own: one that is kept may be closed by the broker just when it is used again. */
export async function scrape(port: number): Promise<Metrics> {
  return metricsIn(await httpGet(port, '/metrics'))
}

/** The body of an answer. Rejects for any status but 200, and if there is no answer in time. */
export function httpGet(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false, timeout: SCRAPE_MAX_MS }, (answer) => {
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (text: string) => {
        body += text
      })
      answer.on('error', reject)
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(body)
        else reject(new Error(`${path} answered ${answer.statusCode}`))
      })
    })
    request.on('timeout', () => request.destroy(new Error(`${path} gave no answer within ${SCRAPE_MAX_MS} ms`)))
    request.on('error', reject)
  })
}

/** A metric that must be there: one that was given another name is no measurement of 0. */
export function metricOf(metrics: Metrics, name: string): number {
  const value = metrics.get(name)
  if (value === undefined) throw new Error(`/metrics tells no ${name}`)
  return value
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
