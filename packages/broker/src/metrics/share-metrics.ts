import type { ShareTotals } from '../share/share-totals.ts'
import type { DefineMetric } from './define-metric.ts'

/** What share groups on this node have to tell. */
export interface ShareSources {
  shares(): { readonly totals: ShareTotals; readonly sessionCount: number; readonly pausedPartitions: number }
}

/** By number of the type. */
const ACKNOWLEDGEMENT_NAMES = ['gap', 'accept', 'release', 'reject', 'renew']

/** Share groups (KIP-932): Kafka's names where it has some, ours for what is ours. */
export function defineShareMetrics({ shares }: ShareSources, counter: DefineMetric, gauge: DefineMetric): void {
  const one = (name: string, help: string, value: (totals: ShareTotals) => number): void => {
    counter(name, help, [], (set) => set({}, value(shares().totals)))
  }
  const topics = 'kafka_server_brokertopicmetrics_'
  one(`${topics}totalsharefetchrequests_total`, 'ShareFetch requests.', (totals) => totals.fetchRequests)
  one(`${topics}failedsharefetchrequests_total`, 'ShareFetch requests refused.', (totals) => totals.failedFetches)
  one(
    `${topics}totalshareacknowledgementrequests_total`,
    'ShareAcknowledge requests.',
    (totals) => totals.acknowledgeRequests,
  )
  one(
    `${topics}failedshareacknowledgementrequests_total`,
    'ShareAcknowledge requests of which something failed.',
    (totals) => totals.failedAcknowledges,
  )
  counter(
    'kafka_server_sharegroupmetrics_recordacknowledgements_total',
    'Records by what members said of them.',
    ['ackType'],
    (set) => {
      for (const [type, count] of shares().totals.acknowledgements.entries()) {
        set({ ackType: ACKNOWLEDGEMENT_NAMES[type]! }, count)
      }
    },
  )
  one(
    'kafka_server_sharepartitionmetrics_acquisitionlocktimeouts_total',
    'Records held for longer than they may be.',
    (totals) => totals.expiredLocks,
  )
  one('millrace_share_acquired_records_total', 'Records given to members.', (totals) => totals.acquiredRecords)
  counter('millrace_share_dead_letters_total', 'Records given up, by what became of them.', ['outcome'], (set) => {
    const { deadLetters, deadLettersWithoutValue, lostDeadLetters } = shares().totals
    set({ outcome: 'written' }, deadLetters)
    set({ outcome: 'without-value' }, deadLettersWithoutValue)
    set({ outcome: 'lost' }, lostDeadLetters)
  })
  one(
    'millrace_share_dead_letter_failures_total',
    'Writes of dead letters that failed and were tried again.',
    (totals) => totals.deadLetterFailures,
  )
  one('millrace_share_breaker_trips_total', 'Pauses since too many failed.', (totals) => totals.breakerTrips)
  gauge('millrace_share_paused_partitions', 'Share partitions whose deliveries pause.', [], (set) =>
    set({}, shares().pausedPartitions),
  )
  gauge('kafka_server_sharesessioncache_numsharesessions', 'Share sessions.', [], (set) =>
    set({}, shares().sessionCount),
  )
}
