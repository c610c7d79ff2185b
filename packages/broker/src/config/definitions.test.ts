import { describe, expect, test } from 'vitest'
import { baseKeyOf, brokerDefinitionOf, brokerDefinitions, brokerSynonyms } from './broker-definitions.ts'
import { camelCase, type Definition, defaultTextOf } from './definition.ts'
import { clientMetricsDefinitions } from './definitions/client-metrics-definitions.ts'
import { groupResourceDefinitions } from './definitions/group-resource-definitions.ts'
import { ineffectiveNames } from './definitions/ineffective-names.ts'
import { topicDefinitions } from './definitions/topic-definitions.ts'
import { groupSynonyms, topicSynonyms } from './topic-synonyms.ts'
import { formatValue, parseValue } from './value.ts'

const tables: Record<string, Readonly<Record<string, Definition>>> = {
  broker: brokerDefinitions,
  topic: topicDefinitions,
  group: groupResourceDefinitions,
  'client metrics': clientMetricsDefinitions,
}

describe.each(Object.entries(tables))('%s definitions', (_, definitions) => {
  const entries = Object.entries<Definition>(definitions)

  test('have one sentence of documentation', () => {
    for (const [key, { documentation }] of entries) {
      expect(documentation, key).toMatch(/^[A-Z].{15,}\.$/)
      expect(documentation.length, key).toBeLessThan(250)
    }
  })

  test('have defaults that pass their own checks and are in the form that is shown', () => {
    for (const [key, definition] of entries) {
      const text = defaultTextOf(definition, 1)
      if (text === null) continue
      expect(formatValue(definition, parseValue(key, definition, text)), key).toBe(text)
    }
  })

  test('have names that stay different as properties', () => {
    const names = entries.map(([key]) => camelCase(key))
    expect(new Set(names).size).toBe(names.length)
  })
})

test('replication factors of internal topics are what the number of nodes allows', () => {
  const definition = brokerDefinitionOf('offsets.topic.replication.factor')!
  expect([0, 1, 2, 3, 9].map((nodes) => defaultTextOf(definition, nodes))).toEqual(['1', '1', '2', '3', '3'])
})

test('synonyms lead to keys that exist, with the same kind of value', () => {
  for (const [key, synonyms] of Object.entries(topicSynonyms)) {
    const { type } = topicDefinitions[key as keyof typeof topicDefinitions]
    for (const synonym of synonyms) {
      const found = brokerDefinitionOf(synonym.key)
      expect(found, synonym.key).not.toBeNull()
      const isNumber = (name: string) => ['int', 'long', 'short'].includes(name)
      expect(found!.type === type || (isNumber(found!.type) && isNumber(type)), `${key} and ${synonym.key}`).toBe(true)
    }
  }
  for (const key of Object.values(groupSynonyms)) expect(brokerDefinitionOf(key), key).not.toBeNull()
})

test('broker synonyms are the other units of the same thing', () => {
  expect(brokerSynonyms('log.retention.minutes')).toEqual([
    'log.retention.ms',
    'log.retention.minutes',
    'log.retention.hours',
  ])
  expect(brokerSynonyms('log.flush.interval.ms')).toEqual(['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'])
  expect(brokerSynonyms('log.flush.scheduler.interval.ms')).toEqual(['log.flush.scheduler.interval.ms'])
  expect(brokerSynonyms('num.partitions')).toEqual(['num.partitions'])
})

test('keys scoped to a listener and mechanism are known by what they scope', () => {
  expect(baseKeyOf('listener.name.internal.ssl.key.password')).toBe('ssl.key.password')
  expect(baseKeyOf('listener.name.internal.scram-sha-256.sasl.jaas.config')).toBe('sasl.jaas.config')
  expect(brokerDefinitionOf('listener.name.internal.scram-sha-256.sasl.jaas.config')?.type).toBe('password')
  expect(brokerDefinitionOf('listener.name.internal.nonsense')).toBeNull()
  expect(brokerDefinitionOf('constructor')).toBeNull()
})

test('a key is either defined or known to have no effect', () => {
  for (const name of ineffectiveNames) expect(brokerDefinitionOf(name), name).toBeNull()
})
