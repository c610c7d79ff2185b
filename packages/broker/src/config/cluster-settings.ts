import { ConfigurationError } from '@millrace/base'
import type { ListenerEndpoint } from './listeners.ts'

/** A controller as the start settings name it. */
export interface NamedController {
  readonly id: number
  readonly host: string
  readonly port: number
}

/** What a node of a cluster is told at its start; a node that keeps its own metadata has none. */
export interface ClusterSettings {
  readonly isBroker: boolean
  readonly isController: boolean
  /** Who votes in a quorum that has no log yet. Empty: this node waits until a leader tells it. */
  readonly initialVoters: readonly NamedController[]
  /** Where else controllers are found. */
  readonly bootstrapServers: readonly NamedController[]
  /** Where this controller listens for other nodes; null at a broker, which only connects. */
  readonly peerListener: ListenerEndpoint | null
}

/** What the settings of a cluster are read from. */
interface Source {
  readonly nodeId: number
  readonly processRoles: readonly string[]
  readonly clusterId: string | null
  readonly controllerQuorumVoters: readonly string[]
  readonly controllerQuorumBootstrapServers: readonly string[]
}

const VOTERS = 'controller.quorum.voters'
const BOOTSTRAP = 'controller.quorum.bootstrap.servers'

/** id@host:port or id@[v6]:port. */
const CONTROLLER = /^(\d{1,10})@(\[[0-9a-fA-F:.%]+\]|[0-9A-Za-z._%-]+):(\d{1,5})$/

/**
 * Whether the node belongs to a cluster: it has only one of the roles, or is told of other nodes, or of the cluster that it is to make or
 * join. All others keep their own metadata, also where a file made for Kafka names the node itself as the only controller.
 */
export function isClustered(source: Source): boolean {
  const hasBothRoles = source.processRoles.includes('broker') && source.processRoles.includes('controller')
  const namedCount = Math.max(source.controllerQuorumVoters.length, source.controllerQuorumBootstrapServers.length)
  return !hasBothRoles || namedCount > 1 || source.clusterId !== null
}

/**
 * The part that the node plays in its cluster. Throws `ConfigurationError` for settings that contradict each other or name no way into
 * the quorum.
 */
export function clusterSettings(source: Source, controllerEndpoints: readonly ListenerEndpoint[]): ClusterSettings {
  const isBroker = source.processRoles.includes('broker')
  const isController = source.processRoles.includes('controller')
  const initialVoters = namedControllers(VOTERS, source.controllerQuorumVoters)
  const bootstrapServers = namedControllers(BOOTSTRAP, source.controllerQuorumBootstrapServers)
  if (initialVoters.length === 0 && bootstrapServers.length === 0) {
    const form = 'as id@host:port, separated by commas'
    throw new ConfigurationError(VOTERS, `A node of a cluster must be told its controllers: set ${VOTERS}, ${form}`)
  }
  checkOwnVote(source.nodeId, isController, initialVoters, bootstrapServers)
  const [peerListener = null] = controllerEndpoints
  if (isController && peerListener === null) {
    throw new ConfigurationError(
      'controller.listener.names',
      'A controller needs a listener for other nodes: name it in controller.listener.names and give its address in listeners',
    )
  }
  if (!isController && peerListener !== null) {
    throw new ConfigurationError(
      'listeners',
      `Listener ${peerListener.listener} is for controllers, and this node is none (process.roles): take it out of listeners`,
    )
  }
  return { isBroker, isController, initialVoters, bootstrapServers, peerListener }
}

function checkOwnVote(
  nodeId: number,
  isController: boolean,
  voters: readonly NamedController[],
  bootstrapServers: readonly NamedController[],
): void {
  const isNamed = voters.some((voter) => voter.id === nodeId)
  if (isController && voters.length > 0 && !isNamed && bootstrapServers.length === 0) {
    throw new ConfigurationError(
      VOTERS,
      `${VOTERS} does not name this node (node.id ${nodeId}), which is a controller. One that joins later is told ${BOOTSTRAP} instead`,
    )
  }
  if (!isController && isNamed) {
    throw new ConfigurationError(
      VOTERS,
      `${VOTERS} names this node (node.id ${nodeId}), which is no controller: correct process.roles or node.id`,
    )
  }
}

function namedControllers(key: string, items: readonly string[]): NamedController[] {
  const controllers = items.map((item) => namedController(key, item))
  const ids = new Set<number>()
  for (const { id } of controllers) {
    if (ids.has(id)) throw new ConfigurationError(key, `${key} names node ${id} twice`)
    ids.add(id)
  }
  return controllers.sort((a, b) => a.id - b.id)
}

function namedController(key: string, item: string): NamedController {
  const [, id, host, port] = CONTROLLER.exec(item.trim()) ?? []
  if (id === undefined || host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new ConfigurationError(
      key,
      `Invalid controller ${item} in ${key}: must be id@host:port, as in 1@127.0.0.1:9093`,
    )
  }
  return { id: Number(id), host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}
