import { brokerDefinitionOf } from './broker-definitions.ts'
import { ineffectiveNames } from './definitions/ineffective-names.ts'
import { knownBrokerKeys } from './parse-broker-config.ts'
import { suggestion } from './suggest.ts'
import { isTopicKey } from './topic-config.ts'
import { groupSynonyms, topicSynonyms } from './topic-synonyms.ts'

/** More would hide the one that is meant. */
const MAX_SUGGESTIONS = 3

/**
 * What is wrong with the key of a setting that somebody typed for a node, or null if the node knows it. In files, which nodes of different
 * versions and plug-ins share, unknown keys are only warned about; what is typed for one start is meant for that start.
 */
export function unknownSettingComplaint(key: string): string | null {
  if (brokerDefinitionOf(key) !== null || ineffectiveNames.has(key)) return null
  const nodeKey = Object.hasOwn(topicSynonyms, key) ? topicSynonyms[key]![0]!.key : null
  if (nodeKey !== null) return `${key} is a setting of single topics; the default of all topics is ${nodeKey}`
  if (isTopicKey(key)) return `${key} is a setting of single topics: use "millrace config set topic NAME ${key}=VALUE"`
  if (Object.hasOwn(groupSynonyms, key)) {
    return `${key} is a setting of single groups; the default of all groups is ${groupSynonyms[key]}`
  }
  return `unknown setting ${key}${suggestion(key, knownBrokerKeys(), MAX_SUGGESTIONS)}`
}
