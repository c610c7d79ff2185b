import type { Definition, SettingsOf } from './definition.ts'
import { groupDefinitions } from './definitions/group-definitions.ts'
import { logDefinitions } from './definitions/log-definitions.ts'
import { networkDefinitions } from './definitions/network-definitions.ts'
import { nodeDefinitions } from './definitions/node-definitions.ts'
import { quotaDefinitions } from './definitions/quota-definitions.ts'
import { replicationDefinitions } from './definitions/replication-definitions.ts'
import { securityDefinitions } from './definitions/security-definitions.ts'
import { sharingDefinitions } from './definitions/sharing-definitions.ts'
import { transactionDefinitions } from './definitions/transaction-definitions.ts'

/** Every broker setting, by key. */
export const brokerDefinitions = {
  ...nodeDefinitions,
  ...networkDefinitions,
  ...logDefinitions,
  ...replicationDefinitions,
  ...groupDefinitions,
  ...sharingDefinitions,
  ...transactionDefinitions,
  ...quotaDefinitions,
  ...securityDefinitions,
} as const

/** All broker settings as typed properties: `log.retention.ms` is `logRetentionMs`. */
export type BrokerSettings = SettingsOf<typeof brokerDefinitions>

/** Keys that set the same thing in other units, strongest first. A value in a stronger layer hides all of them in weaker ones. */
const SYNONYM_CHAINS: readonly (readonly string[])[] = [
  ['log.roll.ms', 'log.roll.hours'],
  ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
]

const FLUSH_CHAIN = ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'] as const

/** `listener.name.<listener>.<key>` or `listener.name.<listener>.<mechanism>.<key>`. */
const LISTENER_KEY = /^listener\.name\.[^.]*\.(.*)$/

const MECHANISM_KEYS = ['sasl.jaas.config', 'sasl.server.callback.handler.class', 'connections.max.reauth.ms']

/** The definition behind a key, which may be scoped to a listener; null if the key is not known. */
export function brokerDefinitionOf(key: string): Definition | null {
  const definition = (brokerDefinitions as Record<string, Definition>)[baseKeyOf(key)]
  return definition !== undefined && Object.hasOwn(brokerDefinitions, baseKeyOf(key)) ? definition : null
}

/** The key without a listener and mechanism before it. */
export function baseKeyOf(key: string): string {
  const scoped = LISTENER_KEY.exec(key)?.[1]
  if (scoped === undefined) return key
  return MECHANISM_KEYS.find((name) => scoped.endsWith(name)) ?? scoped
}

export function isListenerKey(key: string): boolean {
  return LISTENER_KEY.test(key)
}

/** All keys that set the same thing, strongest first, the key itself among them (Kafka's broker synonyms). */
export function brokerSynonyms(key: string): readonly string[] {
  if (key === FLUSH_CHAIN[0]) return FLUSH_CHAIN
  const chain = SYNONYM_CHAINS.find((keys) => keys.includes(key))
  if (chain !== undefined) return chain
  return isListenerKey(key) ? [key, baseKeyOf(key)] : [key]
}
