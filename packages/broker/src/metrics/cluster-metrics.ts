import type { MetadataImage } from '@millrace/consensus'
import type { DefineMetric } from './define-metric.ts'

/** How this node's part in the metadata quorum fares, as it was told last. */
export interface QuorumFigures {
  readonly role: string
  readonly term: number
  readonly commitIndex: number
  readonly lastIndex: number
  readonly appliedIndex: number
  readonly leaderId: number | null
  readonly voterCount: number
  readonly observerCount: number
  /** Whether this node is the active controller. */
  readonly isActive: boolean
}

/** What a quorum without a leader lacks, as far as one of its nodes can tell. */
export interface QuorumWait {
  /** The quorum has not begun: all of its first voters must be up once. Else a majority of the voters is enough. */
  readonly isFirst: boolean
  /** Ids of the voters, or of the controllers that the settings name while no voters are known. */
  readonly voters: readonly number[]
  /** Those of them that this node is not connected to, or has not heard of yet. */
  readonly missing: readonly number[]
  /** Before the quorum has begun: those whose settings name other voters. */
  readonly disagreeing: readonly number[]
}

/** What a node knows of its cluster. */
export interface ClusterSources {
  image(): MetadataImage
  /** Kafka's number of what the broker is about. */
  brokerState(): number
  /** Null: nothing was told yet, or there is no quorum. */
  quorum(): QuorumFigures | null
  /** Whether there is a quorum at all: a single node is its own active controller. */
  readonly isClustered: boolean
}

/** Names as Kafka's dashboards have them; numbers of the image are the same at every node, as at Kafka's standby controllers. */
export function defineClusterMetrics(sources: ClusterSources, gauge: DefineMetric): void {
  const one = (name: string, help: string, value: () => number): void =>
    gauge(name, help, [], (set) => set({}, value()))
  one('kafka_server_kafkaserver_brokerstate', 'What the broker is about, in Kafka’s numbers (3: it serves).', () =>
    sources.brokerState(),
  )
  defineControllerMetrics(sources, one)
  if (!sources.isClustered) return
  const ofQuorum = (name: string, help: string, value: (figures: QuorumFigures) => number): void =>
    gauge(name, help, [], (set) => {
      const figures = sources.quorum()
      if (figures !== null) set({}, value(figures))
    })
  const raft = 'kafka_server_raft_metrics'
  ofQuorum(`${raft}_current_epoch`, 'Term of the metadata quorum.', ({ term }) => term)
  ofQuorum(`${raft}_current_leader`, 'Node that leads the quorum; -1: not known.', ({ leaderId }) => leaderId ?? -1)
  ofQuorum(`${raft}_high_watermark`, 'Committed up to here.', ({ commitIndex }) => commitIndex)
  ofQuorum(`${raft}_log_end_offset`, 'Last entry of this node.', ({ lastIndex }) => lastIndex)
  ofQuorum(`${raft}_number_of_voters`, 'Voters of the quorum.', ({ voterCount }) => voterCount)
  ofQuorum(`${raft}_number_of_observers`, 'Others that follow, at the leader.', ({ observerCount }) => observerCount)
  ofQuorum('millrace_metadata_apply_lag', 'Committed entries that are not applied.', (figures) =>
    Math.max(0, figures.commitIndex - figures.appliedIndex),
  )
  gauge(`${raft}_current_state`, 'Role of this node in the quorum.', ['state'], (set) => {
    const figures = sources.quorum()
    if (figures !== null) set({ state: figures.role }, 1)
  })
}

function defineControllerMetrics(
  sources: ClusterSources,
  one: (name: string, help: string, value: () => number) => void,
): void {
  const { image } = sources
  const controller = 'kafka_controller_kafkacontroller'
  const brokers = (isCounted: (broker: { fenced: boolean; inControlledShutdown: boolean }) => boolean): number => {
    let count = 0
    for (const broker of image().brokers.values()) if (isCounted(broker)) count++
    return count
  }
  one(`${controller}_activecontrollercount`, 'Whether this node is the active controller.', () =>
    !sources.isClustered || sources.quorum()?.isActive === true ? 1 : 0,
  )
  one(`${controller}_activebrokercount`, 'Brokers that serve.', () => brokers(({ fenced }) => !fenced))
  one(`${controller}_fencedbrokercount`, 'Brokers that are taken for dead.', () => brokers(({ fenced }) => fenced))
  one(`${controller}_controlledshutdownbrokercount`, 'Brokers that are about to stop.', () =>
    brokers(({ inControlledShutdown }) => inControlledShutdown),
  )
  one(`${controller}_globaltopiccount`, 'Topics of the cluster.', () => image().topics.size)
  one(`${controller}_globalpartitioncount`, 'Partitions of the cluster.', () => partitionsOf(image(), () => true))
  one(`${controller}_offlinepartitionscount`, 'Partitions without a leader.', () =>
    partitionsOf(image(), ({ leader }) => leader === -1),
  )
  one(`${controller}_preferredreplicaimbalancecount`, 'Partitions that another than their first replica leads.', () =>
    partitionsOf(image(), ({ leader, replicas }) => leader !== replicas[0]),
  )
  one('kafka_server_broker_metadata_metrics_last_applied_record_offset', 'Metadata records applied here.', () =>
    Math.max(0, image().offset - 1),
  )
}

function partitionsOf(
  image: MetadataImage,
  isCounted: (partition: { readonly leader: number; readonly replicas: readonly number[] }) => boolean,
): number {
  let count = 0
  for (const { partitions } of image.topics.values()) {
    for (const partition of partitions) if (isCounted(partition)) count++
  }
  return count
}
