import type { AuthorizerFigures } from '../authorization/authorizer.ts'
import type { DefineMetric } from './define-metric.ts'

export interface AuthorizationSources {
  /** Null: there is no authorizer. */
  authorization(): AuthorizerFigures | null
}

/** Without an authorizer the metrics are there and have no values. */
export function defineAuthorizationMetrics(
  { authorization }: AuthorizationSources,
  counter: DefineMetric,
  gauge: DefineMetric,
): void {
  counter(
    'millrace_authorizations_total',
    'Permissions that requests needed, by outcome; what a listing leaves out is in neither.',
    ['result'],
    (set) => {
      const figures = authorization()
      if (figures === null) return
      set({ result: 'allowed' }, figures.allowed)
      set({ result: 'denied' }, figures.denied)
    },
  )
  gauge('kafka_server_authorizer_metrics_acls_total_count', 'ACLs that the authorizer knows.', [], (set) => {
    const figures = authorization()
    if (figures !== null) set({}, figures.rules)
  })
}
