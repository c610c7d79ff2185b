import { ConfigurationError } from '@millrace/base'
import type { SecurityProtocol } from '@millrace/consensus'
import type { BrokerConfig } from './broker-config.ts'
import { type BrokerSettings, brokerDefinitionOf, brokerDefinitions, isListenerKey } from './broker-definitions.ts'
import { checkBrokerConfig } from './broker-rules.ts'
import { canonicalAddress } from './canonical-address.ts'
import { clusterSettings, isClustered } from './cluster-settings.ts'
import { camelCase, type Definition, defaultTextOf } from './definition.ts'
import { ineffectiveNames } from './definitions/ineffective-names.ts'
import type { RawSettings } from './layers.ts'
import { parseListeners, parseProtocolMap, securityProtocol } from './listeners.ts'
import { suggestion } from './suggest.ts'
import { parseValue, settingOf } from './value.ts'
import { WrongValues } from './wrong-values.ts'

/** What a parse has to say besides the result. */
export interface ParsedBrokerConfig {
  readonly config: BrokerConfig
  /** For the log: unknown and meaningless keys, doubtful combinations. One sentence each. */
  readonly warnings: readonly string[]
}

/** Where a key was set, for messages (`server.properties:12`), or null where that is not known. */
export type OriginOf = (key: string) => string | null

/**
 * Parses, defaults and checks broker settings. Throws `ConfigurationError`: for all values that are wrong by themselves
 * (`WrongValuesError` if there are several), else for the first that is wrong beside others. Unknown keys are warned about and ignored,
 * as in Kafka; `originOf` says where they stand.
 */
export function parseBrokerConfig(given: RawSettings, originOf: OriginOf = () => null): ParsedBrokerConfig {
  const texts = withNodeId(given)
  const warnings = [...unknownKeyWarnings(texts, originOf), ...repeatedDirectories(texts, originOf)]
  checkNodeIds(texts)
  const nodeCount = countNodes(texts)
  const settings: Record<string, unknown> = {}
  const wrong = new WrongValues()
  for (const [key, definition] of Object.entries<Definition>(brokerDefinitions)) {
    const text = texts.get(key) ?? defaultTextOf(definition, nodeCount)
    wrong.collect(() => {
      settings[camelCase(key)] = text === null ? null : settingOf(parseValue(key, definition, text))
    })
  }
  for (const [key, text] of texts) {
    const definition = isListenerKey(key) ? brokerDefinitionOf(key) : null
    if (definition !== null) wrong.collect(() => parseValue(key, definition, text))
  }
  wrong.throwIfAny(texts)
  const base = settings as unknown as BrokerSettings
  const config: BrokerConfig = { ...base, brokerId: base.nodeId, nodeCount, ...derive(base, texts) }
  warnings.push(...checkBrokerConfig(config))
  return { config, warnings }
}

/** Names of the keys that this node knows, for suggestions. */
export function knownBrokerKeys(): string[] {
  return Object.keys(brokerDefinitions)
}

/** `broker.id` and `node.id` are one thing: whichever is given gives the other. */
export function withNodeId(given: RawSettings): RawSettings {
  const nodeId = given.get('node.id')
  const brokerId = given.get('broker.id')
  if (brokerId === undefined && nodeId !== undefined) return new Map([...given, ['broker.id', nodeId]])
  if (nodeId === undefined && brokerId !== undefined) return new Map([...given, ['node.id', brokerId]])
  return given
}

function checkNodeIds(texts: RawSettings): void {
  const [nodeId, brokerId] = [texts.get('node.id')?.trim(), texts.get('broker.id')?.trim()]
  if (nodeId !== brokerId && brokerId !== '-1') {
    throw new ConfigurationError(
      'broker.id',
      `broker.id (${brokerId}) must equal node.id (${nodeId}) if both are given`,
    )
  }
}

function unknownKeyWarnings(texts: RawSettings, originOf: OriginOf): string[] {
  const warnings: string[] = []
  for (const key of texts.keys()) {
    if (brokerDefinitionOf(key) !== null) continue
    const where = placeOf(key, originOf)
    if (ineffectiveNames.has(key)) warnings.push(`${where}${key} has no effect here and is ignored`)
    else warnings.push(`${where}unknown configuration ${key} is ignored${suggestion(key, knownBrokerKeys())}`)
  }
  return warnings
}

/** Repeated items of lists are dropped, as in Kafka; of directories somebody meant another one. */
function repeatedDirectories(texts: RawSettings, originOf: OriginOf): string[] {
  const key = 'log.dirs'
  const directories =
    texts
      .get(key)
      ?.trim()
      .split(/\s*,\s*/) ?? []
  const repeated = new Set(directories.filter((directory, slot) => directories.indexOf(directory) < slot))
  return [...repeated].map((directory) => `${placeOf(key, originOf)}${key} names ${directory} more than once`)
}

function placeOf(key: string, originOf: OriginOf): string {
  const origin = originOf(key)
  return origin === null ? '' : `${origin}: `
}

/** Brokers of a cluster whose nodes are not all controllers too: nobody has said how many there are, so what Kafka takes for granted. */
const USUAL_BROKER_COUNT = 3

/** Nodes that the quorum settings name; one if they name none. */
function countNodes(texts: RawSettings): number {
  const roles = texts.get('process.roles')
  if (roles !== undefined && !(roles.includes('broker') && roles.includes('controller'))) return USUAL_BROKER_COUNT
  const voters = texts.get('controller.quorum.voters') ?? texts.get('controller.quorum.bootstrap.servers') ?? ''
  return Math.max(1, voters.split(',').filter((item) => item.trim() !== '').length)
}

function derive(settings: BrokerSettings, texts: RawSettings): Omit<BrokerConfig, keyof BrokerSettings | 'nodeCount'> {
  const protocols = protocolMap(settings, texts)
  const controllers = new Set(settings.controllerListenerNames.map((name) => name.toUpperCase()))
  const listeners = parseListeners('listeners', settings.listeners, protocols, true)
  const advertised =
    settings.advertisedListeners === null
      ? listeners
      : parseListeners('advertised.listeners', settings.advertisedListeners, protocols, false)
  const controllerEndpoints = listeners.filter((endpoint) => controllers.has(endpoint.listener))
  return {
    dataDirectories: settings.logDirs ?? settings.logDir,
    endpoints: listeners.filter((endpoint) => !controllers.has(endpoint.listener)),
    controllerEndpoints,
    cluster: isClustered(settings) ? clusterSettings(settings, controllerEndpoints) : null,
    advertisedEndpoints: advertised.filter((endpoint) => !controllers.has(endpoint.listener)),
    interBrokerListener: interBrokerListener(settings, texts, protocols),
    connectionLimitsByAddress: connectionLimits(settings.maxConnectionsPerIpOverrides),
    givenKeys: new Set(texts.keys()),
  }
}

/** Without a map of their own, controller listeners are plain text unless something else is encrypted. */
function protocolMap(settings: BrokerSettings, texts: RawSettings): ReadonlyMap<string, SecurityProtocol> {
  const key = 'listener.security.protocol.map'
  const protocols = parseProtocolMap(key, settings.listenerSecurityProtocolMap)
  if (texts.has(key)) return protocols
  const names = settings.listeners.map((address) => address.split(':')[0]!.toUpperCase())
  const secured = (name: string) => name === 'SSL' || name.startsWith('SASL_')
  if (names.some(secured) || settings.controllerListenerNames.some(secured)) return protocols
  for (const name of settings.controllerListenerNames) {
    if (!protocols.has(name.toUpperCase())) protocols.set(name.toUpperCase(), 'PLAINTEXT')
  }
  return protocols
}

function interBrokerListener(
  settings: BrokerSettings,
  texts: RawSettings,
  protocols: ReadonlyMap<string, SecurityProtocol>,
): string {
  const key = 'inter.broker.listener.name'
  if (settings.interBrokerListenerName === null) {
    return securityProtocol('security.inter.broker.protocol', settings.securityInterBrokerProtocol)
  }
  if (texts.has('security.inter.broker.protocol')) {
    throw new ConfigurationError(key, `Only one of ${key} and security.inter.broker.protocol may be set`)
  }
  const name = settings.interBrokerListenerName.toUpperCase()
  if (!protocols.has(name)) {
    throw new ConfigurationError(key, `Listener ${name} of ${key} is not in listener.security.protocol.map`)
  }
  return name
}

function connectionLimits(text: string): ReadonlyMap<string, number> {
  const key = 'max.connections.per.ip.overrides'
  const limits = new Map<string, number>()
  for (const pair of text.split(',').map((part) => part.trim())) {
    if (pair === '') continue
    const colon = pair.lastIndexOf(':')
    const address = colon < 1 ? null : canonicalAddress(pair.slice(0, colon).trim())
    const count = pair.slice(colon + 1).trim()
    if (address === null || !/^\d{1,9}$/.test(count)) {
      const form = 'must be address:count, with the address in numbers (names are not resolved)'
      throw new ConfigurationError(key, `Invalid entry ${pair} in ${key}: ${form}`)
    }
    limits.set(address, Number(count))
  }
  return limits
}
