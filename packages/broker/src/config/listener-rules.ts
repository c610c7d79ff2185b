import { ConfigurationError } from '@millrace/base'
import type { BrokerConfig } from './broker-config.ts'
import { baseKeyOf, brokerDefinitionOf } from './broker-definitions.ts'

/** Refuses listeners with encryption or authentication: starting anyway would open a plain port where another was ordered. */
export function checkListenerSecurity(config: BrokerConfig): void {
  for (const { listener, securityProtocol } of [...config.endpoints, ...config.controllerEndpoints]) {
    if (securityProtocol === 'PLAINTEXT') continue
    throw new ConfigurationError(
      'listeners',
      `Listener ${listener} asks for ${securityProtocol}, but only PLAINTEXT is supported`,
    )
  }
}

/**
 * Refuses encryption or authentication between brokers where no listener has that name: before anybody is told to name another listener,
 * which could not have it either.
 */
export function checkInterBrokerSecurity(config: BrokerConfig): void {
  const { cluster, endpoints, interBrokerListener, interBrokerListenerName, securityInterBrokerProtocol } = config
  if (securityInterBrokerProtocol === 'PLAINTEXT' || interBrokerListenerName !== null) return
  if (cluster?.isBroker === false || endpoints.some(({ listener }) => listener === interBrokerListener)) return
  throw new ConfigurationError(
    'security.inter.broker.protocol',
    `security.inter.broker.protocol asks for ${securityInterBrokerProtocol}, but only PLAINTEXT is supported`,
  )
}

/** Settings of encryption and authentication do nothing while no listener has either; whoever gives them means that one has. */
export function securityWarnings({ givenKeys }: BrokerConfig): string[] {
  const given = [...givenKeys].filter((key) => /^(sasl|ssl)\./.test(baseKeyOf(key)) && brokerDefinitionOf(key) !== null)
  if (given.length === 0) return []
  return [
    `without effect: ${given.join(', ')}. Clients are neither authenticated nor encrypted: all are User:ANONYMOUS`,
  ]
}
