import { ConfigurationError } from '@millrace/base'
import type { EndpointImage, SecurityProtocol } from '@millrace/consensus'

/** One address of `listeners` or `advertised.listeners`. An empty host means every interface. */
export type ListenerEndpoint = EndpointImage

const SECURITY_PROTOCOLS: readonly string[] = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']

/** NAME://host:port, NAME://[v6]:port or NAME://:port. */
const ENDPOINT = /^(\w[\w-]*):\/\/(\[[0-9a-fA-F:.%]+\]|[0-9A-Za-z._%-]*):(-?\d+)$/

const IPV4 = /^\d+(\.\d+){3}$/

/**
 * Parses the value of `key`. Listener names become upper case, as Kafka has them. Throws `ConfigurationError` for a malformed
 * address, a repeated name or a name without a protocol; with `distinctPorts` also for two listeners on one port, unless one is
 * an IPv4 and the other an IPv6 address.
 */
export function parseListeners(
  key: string,
  addresses: readonly string[],
  protocols: ReadonlyMap<string, SecurityProtocol>,
  distinctPorts: boolean,
): ListenerEndpoint[] {
  const endpoints = addresses.map((address) => parseEndpoint(key, address, protocols))
  for (const [slot, endpoint] of endpoints.entries()) {
    const earlier = endpoints.slice(0, slot)
    if (earlier.some((other) => other.listener === endpoint.listener)) {
      throw new ConfigurationError(key, `${key} names listener ${endpoint.listener} twice; each needs its own name`)
    }
    const clash = earlier.find((other) => other.port === endpoint.port && endpoint.port !== 0)
    if (distinctPorts && clash !== undefined && !areDifferentFamilies(endpoint.host, clash.host)) {
      throw new ConfigurationError(
        key,
        `${key} has ${clash.listener} and ${endpoint.listener} on port ${endpoint.port}; each needs its own port`,
      )
    }
  }
  return endpoints
}

/** Parses `listener.security.protocol.map`: NAME:PROTOCOL pairs. */
export function parseProtocolMap(key: string, text: string): Map<string, SecurityProtocol> {
  const protocols = new Map<string, SecurityProtocol>()
  for (const pair of text.split(',').map((part) => part.trim())) {
    if (pair === '') continue
    const [listener, protocol, ...rest] = pair.split(':').map((part) => part.trim().toUpperCase())
    if (listener === undefined || listener === '' || protocol === undefined || rest.length > 0) {
      throw new ConfigurationError(key, `Invalid entry ${pair} in ${key}: must be NAME:PROTOCOL`)
    }
    protocols.set(listener, securityProtocol(key, protocol))
  }
  return protocols
}

/** The protocol of that name. Throws `ConfigurationError` if there is none. */
export function securityProtocol(key: string, name: string): SecurityProtocol {
  if (SECURITY_PROTOCOLS.includes(name)) return name as SecurityProtocol
  throw new ConfigurationError(
    key,
    `Invalid security protocol ${name} in ${key}: must be one of ${SECURITY_PROTOCOLS.join(', ')}`,
  )
}

function parseEndpoint(
  key: string,
  address: string,
  protocols: ReadonlyMap<string, SecurityProtocol>,
): ListenerEndpoint {
  const match = ENDPOINT.exec(address.trim())
  if (match === null) {
    throw new ConfigurationError(key, `Invalid address ${address} in ${key}: must be NAME://host:port`)
  }
  const listener = match[1]!.toUpperCase()
  const host = match[2]!.replace(/^\[|\]$/g, '')
  const port = Number(match[3])
  if (port < 0 || port > 65_535) {
    throw new ConfigurationError(key, `Invalid port ${match[3]} in ${key}: must be between 0 and 65535`)
  }
  const securityProtocol = protocols.get(listener)
  if (securityProtocol === undefined) {
    throw new ConfigurationError(
      key,
      `Listener ${listener} in ${key} has no security protocol: add it to listener.security.protocol.map`,
    )
  }
  return { listener, host, port, securityProtocol }
}

function areDifferentFamilies(a: string, b: string): boolean {
  return (IPV4.test(a) && b.includes(':')) || (a.includes(':') && IPV4.test(b))
}
