import { configsOf, type MetadataDelta, type MetadataImage, parseConfigKey, type TopicImage } from '@millrace/consensus'

/** What lies between two images that do not follow from each other by known records: a snapshot took the place of the first. */
export function deltaBetween(before: MetadataImage, after: MetadataImage): MetadataDelta {
  return {
    changedTopics: changedTopics(before, after),
    removedTopics: removedTopics(before, after),
    changedConfigs: changedConfigs(before, after),
    changedBrokers: changedKeys(before.brokers, after.brokers),
    featuresChanged: !areEqualMaps(before.features, after.features),
    quotasChanged: changedKeys(before.clientQuotas, after.clientQuotas).size > 0,
    aclsChanged: changedKeys(before.acls, after.acls).size > 0,
    scramChanged: changedKeys(before.scramCredentials, after.scramCredentials).size > 0,
  }
}

/** All that differ by identity: decoded from a snapshot, every topic does, and being told of one too many does no harm. */
function changedTopics(before: MetadataImage, after: MetadataImage): Set<string> {
  const changed = new Set<string>()
  for (const [name, topic] of after.topics) if (before.topics.get(name) !== topic) changed.add(name)
  return changed
}

function removedTopics(before: MetadataImage, after: MetadataImage): TopicImage[] {
  return [...before.topicsById.values()].filter((topic) => !after.topicsById.has(topic.id))
}

function changedConfigs(before: MetadataImage, after: MetadataImage): Set<string> {
  const changed = new Set<string>()
  for (const key of new Set([...before.configs.keys(), ...after.configs.keys()])) {
    const { resourceType, resourceName } = parseConfigKey(key)
    const [old, now] = [before, after].map((image) => configsOf(image, resourceType, resourceName))
    if (!areEqualMaps(old!, now!)) changed.add(key)
  }
  return changed
}

function changedKeys<K, V>(before: ReadonlyMap<K, V>, after: ReadonlyMap<K, V>): Set<K> {
  const changed = new Set<K>()
  for (const [key, value] of after) if (before.get(key) !== value) changed.add(key)
  for (const key of before.keys()) if (!after.has(key)) changed.add(key)
  return changed
}

function areEqualMaps<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (b.get(key) !== value) return false
  return true
}
