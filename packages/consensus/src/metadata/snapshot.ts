import { type MetadataImage, parseConfigKey } from './image.ts'
import { partitionRecord } from './partition.ts'
import type { MetadataRecord } from './records.ts'

/**
 * The records that make the image from an empty one, in an order that the reducer accepts: features, brokers, topics each with
 * its partitions, configuration, producer ids, controllers, quotas, ACLs, credentials. Applying them gives an equal image except for `offset`, which counts the records
 * applied: whoever stores a snapshot keeps the offset beside it.
 */
export function* snapshotRecords(image: MetadataImage): IterableIterator<MetadataRecord> {
  for (const [name, featureLevel] of image.features) yield { type: 'FeatureLevelRecord', name, featureLevel }
  for (const broker of image.brokers.values()) {
    yield {
      type: 'RegisterBrokerRecord',
      brokerId: broker.id,
      incarnationId: broker.incarnationId,
      brokerEpoch: broker.epoch,
      endPoints: broker.endpoints,
      features: Object.fromEntries(broker.features),
      rack: broker.rack,
      fenced: broker.fenced,
      inControlledShutdown: broker.inControlledShutdown,
      logDirs: broker.directories,
    }
  }
  for (const topic of image.topics.values()) {
    yield { type: 'TopicRecord', name: topic.name, topicId: topic.id }
    for (const partition of topic.partitions) yield partitionRecord(topic.id, partition)
  }
  for (const [key, configs] of image.configs) {
    const { resourceType, resourceName } = parseConfigKey(key)
    for (const [name, value] of configs) yield { type: 'ConfigRecord', resourceType, resourceName, name, value }
  }
  if (image.nextProducerId > 0) {
    yield { type: 'ProducerIdsRecord', brokerId: -1, brokerEpoch: -1, nextProducerId: image.nextProducerId }
  }
  for (const { id, incarnationId, endpoints, features } of image.controllers.values()) {
    yield {
      type: 'RegisterControllerRecord',
      controllerId: id,
      incarnationId,
      endPoints: endpoints,
      features: Object.fromEntries(features),
    }
  }
  for (const { entity, values } of image.clientQuotas.values()) {
    for (const [key, value] of values) yield { type: 'ClientQuotaRecord', entity, key, value }
  }
  for (const acl of image.acls.values()) yield { type: 'AccessControlEntryRecord', ...acl }
  for (const credential of image.scramCredentials.values()) yield { type: 'UserScramCredentialRecord', ...credential }
}
