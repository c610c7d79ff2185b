import type { DefineMetric } from './define-metric.ts'

/** What a node can tell of the replicas that it leads and follows. All totals since the start. */
export interface ReplicationFigures {
  readonly isrExpandCount: number
  readonly isrShrinkCount: number
  readonly failedIsrUpdateCount: number
  /** Offsets that the furthest behind of the followers here lacks of what its leader has committed. */
  readonly maxLag: number
  /** Bytes of records from leaders, and to followers. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Replicas here whose records are damaged, and how many began to fetch theirs again. */
  readonly damagedCount: number
  readonly repairedCount: number
}

/** A partition as its replicas see it. */
export interface ReplicaSample {
  readonly leader: boolean
  /** Replicas are missing from the in-sync ones. */
  readonly underReplicated: boolean
  readonly underMinIsr: boolean
  /** One more failure, and writes with acks=all are refused. */
  readonly atMinIsr: boolean
}

/** Where all replicas are here. */
export const NO_REPLICATION_FIGURES: ReplicationFigures = {
  isrExpandCount: 0,
  isrShrinkCount: 0,
  failedIsrUpdateCount: 0,
  maxLag: 0,
  bytesIn: 0,
  bytesOut: 0,
  damagedCount: 0,
  repairedCount: 0,
}

/** Replicas on their way from one log directory to another. */
export interface MoveFigures {
  readonly count: number
  /** Offsets that the future log furthest behind lacks. */
  readonly maxLag: number
  readonly movedCount: number
  readonly movedBytes: number
}

export interface ReplicationSources {
  replication(): ReplicationFigures
  moves(): MoveFigures
  partitions(): Iterable<ReplicaSample>
}

export function defineReplicationMetrics(
  { replication, moves, partitions }: ReplicationSources,
  counter: DefineMetric,
  gauge: DefineMetric,
): void {
  const led = (name: string, help: string, isCounted: (sample: ReplicaSample) => boolean): void => {
    gauge(`kafka_server_replicamanager_${name}`, help, [], (set) => {
      let count = 0
      for (const sample of partitions()) if (sample.leader && isCounted(sample)) count++
      set({}, count)
    })
  }
  led('underreplicatedpartitions', 'Partitions led here that lack in-sync replicas.', (s) => s.underReplicated)
  led('underminisrpartitioncount', 'Partitions below min.insync.replicas.', (s) => s.underMinIsr)
  led('atminisrpartitioncount', 'Partitions with just min.insync.replicas.', (s) => s.atMinIsr)
  const total = (name: string, help: string, value: (figures: ReplicationFigures) => number): void => {
    counter(`kafka_server_${name}_total`, help, [], (set) => set({}, value(replication())))
  }
  total(
    'replicamanager_isrexpands',
    'Replicas that came in sync, as asked for by leaders here.',
    (f) => f.isrExpandCount,
  )
  total('replicamanager_isrshrinks', 'Replicas that lagged, as told by leaders here.', (f) => f.isrShrinkCount)
  total('replicamanager_failedisrupdates', 'Changes of in-sync replicas that failed.', (f) => f.failedIsrUpdateCount)
  total('brokertopicmetrics_replicationbytesin', 'Bytes of records from leaders.', (f) => f.bytesIn)
  total('brokertopicmetrics_replicationbytesout', 'Bytes of records to followers.', (f) => f.bytesOut)
  gauge(
    'millrace_damaged_replicas',
    'Replicas whose records are damaged, or whose logs are lost, and not fetched again yet.',
    [],
    (set) => set({}, replication().damagedCount),
  )
  counter('millrace_repaired_replicas_total', 'Replicas that fetched damaged records again.', [], (set) => {
    set({}, replication().repairedCount)
  })
  gauge('kafka_server_replicafetchermanager_maxlag', 'Offsets that the follower furthest behind lacks.', [], (set) => {
    set({}, replication().maxLag)
  })
  gauge(
    'kafka_server_replicaalterlogdirsmanager_maxlag',
    'Offsets that the future log furthest behind lacks.',
    [],
    (set) => {
      set({}, moves().maxLag)
    },
  )
  gauge('millrace_moving_replicas', 'Replicas that are being moved to another log directory.', [], (set) => {
    set({}, moves().count)
  })
  counter('millrace_moved_replicas_total', 'Replicas that were moved to another log directory.', [], (set) => {
    set({}, moves().movedCount)
  })
  counter('millrace_moved_bytes_total', 'Bytes of records that were copied for such moves.', [], (set) => {
    set({}, moves().movedBytes)
  })
}
