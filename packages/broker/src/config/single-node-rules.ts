import { ConfigurationError } from '@millrace/base'
import type { BrokerConfig } from './broker-config.ts'

/**
 * What a single node without encryption must refuse. Starting anyway would give less than the file asks for: one of three voters
 * that decides alone, or an open port where TLS was ordered.
 */
export function checkSingleNode(config: BrokerConfig): void {
  const roles = [...config.processRoles].sort().join(',')
  if (roles !== 'broker,controller') {
    throw new ConfigurationError(
      'process.roles',
      `process.roles must be broker,controller, not ${config.processRoles.join(',')}: a node keeps its own metadata`,
    )
  }
  for (const [key, nodes] of [
    ['controller.quorum.voters', config.controllerQuorumVoters],
    ['controller.quorum.bootstrap.servers', config.controllerQuorumBootstrapServers],
  ] as const) {
    if (nodes.length > 1) {
      throw new ConfigurationError(key, `${key} names ${nodes.length} nodes, but a node keeps its own metadata`)
    }
  }
  const voter = config.controllerQuorumVoters[0]
  if (voter !== undefined && !voter.startsWith(`${config.nodeId}@`)) {
    throw new ConfigurationError(
      'controller.quorum.voters',
      `controller.quorum.voters names ${voter}, which is not this node (node.id ${config.nodeId})`,
    )
  }
  for (const { listener, securityProtocol } of [...config.endpoints, ...config.controllerEndpoints]) {
    if (securityProtocol === 'PLAINTEXT') continue
    throw new ConfigurationError(
      'listeners',
      `Listener ${listener} asks for ${securityProtocol}, but only PLAINTEXT is supported`,
    )
  }
}
