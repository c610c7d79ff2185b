import type { Settings } from '../../harness/running-broker.ts'

/** Where a node listens, and where others are told to reach it. */
export interface NodePlan {
  readonly id: number
  readonly directory: string
  /** Of records alone: a fault may fill the disk that it is on. */
  readonly dataDirectory: string
  readonly port: number
  readonly controllerPort: number
  readonly proxyPort: number
  /** By id of every node. */
  readonly controllerProxyPorts: ReadonlyMap<number, number>
  readonly settings: Settings
  /** Added to the environment of its process. */
  readonly environment: Readonly<Record<string, string>>
}

/** A kind of cluster that can be attacked: ours, and Kafka, which shows whether what is asked of ours is right. */
export interface System {
  readonly name: string
  /** Its nodes are processes of Node.js, and load what `NODE_OPTIONS` names. */
  readonly isNode: boolean
  /** Does once what a node needs before its first start. */
  prepare(plan: NodePlan): Promise<void>
  /** The command line of a node. It must stay in the foreground. */
  command(plan: NodePlan): readonly [command: string, args: readonly string[]]
  /** Lines of a node's log that must never appear. */
  readonly badLines: readonly RegExp[]
}

/** Settings that all systems share: they are Kafka's. */
export function settingsOf(plan: NodePlan): Settings {
  const nodeCount = plan.controllerProxyPorts.size
  const replicas = String(Math.min(3, nodeCount))
  const minIsr = String(Math.min(2, nodeCount))
  const voters = [...plan.controllerProxyPorts].map(([id, port]) => `${id}@127.0.0.1:${port}`).join(',')
  const isCluster = nodeCount > 1
  return {
    'node.id': String(plan.id),
    listeners: `PLAINTEXT://127.0.0.1:${plan.port}${isCluster ? `,CONTROLLER://127.0.0.1:${plan.controllerPort}` : ''}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${plan.proxyPort}`,
    'log.dirs': plan.dataDirectory,
    'default.replication.factor': replicas,
    'min.insync.replicas': minIsr,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '8',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': minIsr,
    'transaction.state.log.num.partitions': '8',
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
    'group.initial.rebalance.delay.ms': '0',
    'group.consumer.heartbeat.interval.ms': '1000',
    'group.consumer.min.heartbeat.interval.ms': '1000',
    'group.consumer.session.timeout.ms': '10000',
    'group.consumer.min.session.timeout.ms': '10000',
    'group.share.heartbeat.interval.ms': '1000',
    'group.share.min.heartbeat.interval.ms': '1000',
    'group.share.session.timeout.ms': '10000',
    'group.share.min.session.timeout.ms': '10000',
    'group.share.min.record.lock.duration.ms': '1000',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': minIsr,
    'share.coordinator.state.topic.num.partitions': '8',
    ...(isCluster
      ? {
          'process.roles': 'broker,controller',
          'controller.listener.names': 'CONTROLLER',
          'controller.quorum.voters': voters,
        }
      : {}),
    ...plan.settings,
  }
}
