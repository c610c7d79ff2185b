import { expect, test } from 'vitest'
import { brokerRecord, idOf, imageOf, partitionRecord, topicRecords } from '../handlers/testing/images.ts'
import { type ClusterSources, defineClusterMetrics } from './cluster-metrics.ts'

const image = imageOf(
  brokerRecord(1),
  brokerRecord(2, { fenced: true }),
  brokerRecord(3, { inControlledShutdown: true }),
  ...topicRecords('a', idOf(1), [1, 2], [2, 1]),
  partitionRecord(idOf(1), 2, [2, 1], { leader: -1 }),
)

/** All series by name, with their labels where they have some. */
function scrape(sources: Partial<ClusterSources>): Record<string, number> {
  const series: Record<string, number> = {}
  const all = { image: () => image, brokerState: () => 3, quorum: () => null, isClustered: true, ...sources }
  defineClusterMetrics(all, (name, _help, _labels, collect) =>
    collect((labels, value) => {
      series[[name, ...Object.values(labels)].join(' ')] = value
    }),
  )
  return series
}

test('brokers, partitions and their leaders are counted by the image', () => {
  expect(scrape({ isClustered: false })).toEqual({
    kafka_server_kafkaserver_brokerstate: 3,
    kafka_controller_kafkacontroller_activecontrollercount: 1,
    kafka_controller_kafkacontroller_activebrokercount: 2,
    kafka_controller_kafkacontroller_fencedbrokercount: 1,
    kafka_controller_kafkacontroller_controlledshutdownbrokercount: 1,
    kafka_controller_kafkacontroller_globaltopiccount: 1,
    kafka_controller_kafkacontroller_globalpartitioncount: 3,
    kafka_controller_kafkacontroller_offlinepartitionscount: 1,
    kafka_controller_kafkacontroller_preferredreplicaimbalancecount: 1,
    kafka_server_broker_metadata_metrics_last_applied_record_offset: 6,
  })
})

test('a node of a quorum tells its part in it, once it knows', () => {
  const quorum = {
    role: 'leader',
    term: 7,
    commitIndex: 90,
    lastIndex: 92,
    appliedIndex: 88,
    leaderId: 1,
    voterCount: 3,
    observerCount: 2,
    isActive: true,
  }
  const series = scrape({ quorum: () => quorum })
  expect(series).toMatchObject({
    kafka_controller_kafkacontroller_activecontrollercount: 1,
    kafka_server_raft_metrics_current_epoch: 7,
    kafka_server_raft_metrics_current_leader: 1,
    kafka_server_raft_metrics_high_watermark: 90,
    kafka_server_raft_metrics_log_end_offset: 92,
    kafka_server_raft_metrics_number_of_voters: 3,
    kafka_server_raft_metrics_number_of_observers: 2,
    'kafka_server_raft_metrics_current_state leader': 1,
    millrace_metadata_apply_lag: 2,
  })
  expect(scrape({}).kafka_controller_kafkacontroller_activecontrollercount).toBe(0)
  expect(Object.keys(scrape({})).filter((name) => name.includes('raft'))).toEqual([])
})
