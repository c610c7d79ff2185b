import { ConfigurationError } from '@millrace/base'
import type { BrokerConfig } from './broker-config.ts'

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
