import { ConfigurationError } from '@millrace/base'
import type { BrokerConfig } from './broker-config.ts'

const MIN_SECRET_LENGTH = 16
const TLS_KEYS = [
  ['controller.peer.tls.key.location', 'controllerPeerTlsKeyLocation'],
  ['controller.peer.tls.certificate.location', 'controllerPeerTlsCertificateLocation'],
  ['controller.peer.tls.ca.location', 'controllerPeerTlsCaLocation'],
] as const

/**
 * What nodes of a cluster must and need not set. Throws `ConfigurationError`; returns warnings about what is legal but hardly meant. A
 * node that keeps its own metadata has no peers, so nothing is asked of it.
 */
export function checkCluster(config: BrokerConfig): string[] {
  const secret = config.controllerPeerSecret
  if (secret !== null && secret.length < MIN_SECRET_LENGTH) {
    throw new ConfigurationError(
      'controller.peer.secret',
      `controller.peer.secret must have at least ${MIN_SECRET_LENGTH} characters`,
    )
  }
  const missing = TLS_KEYS.filter(([, property]) => config[property] === null).map(([key]) => key)
  if (missing.length > 0 && missing.length < TLS_KEYS.length) {
    throw new ConfigurationError(
      missing[0]!,
      `${missing.join(' and ')} must be set too: TLS between nodes needs key, certificate and ca`,
    )
  }
  const { cluster } = config
  if (cluster === null) {
    checkOwnQuorum(config)
    return []
  }
  const warnings: string[] = []
  const peers = [...cluster.initialVoters, ...cluster.bootstrapServers]
  if (secret === null && !peers.every(({ host }) => isLoopback(host))) {
    warnings.push(
      missing.length > 0
        ? 'connections between nodes are neither authenticated nor encrypted: set controller.peer.secret or controller.peer.tls.*'
        : 'brokers cannot tell other brokers from clients that pose as one: set controller.peer.secret, also where controllers have TLS',
    )
  }
  if (peers.some((peer) => peer.id === config.nodeId) && cluster.initialVoters.length === 2) {
    warnings.push('two voters cannot lose either: give the metadata quorum one voter or three')
  }
  return warnings
}

/** A quorum of one that is another node's must not be taken for this one's. */
function checkOwnQuorum({ controllerQuorumVoters: [voter], nodeId }: BrokerConfig): void {
  if (voter === undefined || voter.startsWith(`${nodeId}@`)) return
  throw new ConfigurationError(
    'controller.quorum.voters',
    `controller.quorum.voters names ${voter}, which is not this node (node.id ${nodeId})`,
  )
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
