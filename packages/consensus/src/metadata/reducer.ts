import { assert, type Uuid } from '@millrace/base'
import { AccessDraft, type AccessRecord } from './access-draft.ts'
import {
  type AclImage,
  type BrokerImage,
  ConfigResourceType,
  type ControllerImage,
  configKey,
  type MetadataImage,
  type QuotaImage,
  type ScramImage,
  type TopicImage,
} from './image.ts'

import { mergePartition, partitionOf } from './partition.ts'
import { PersistentMap } from './persistent-map.ts'
import type {
  BrokerRegistrationChangeRecord,
  ConfigRecord,
  MetadataRecord,
  PartitionChangeRecord,
  PartitionRecord,
  RegisterBrokerRecord,
  RegisterControllerRecord,
} from './records.ts'

/** What a run of records touched, so that listeners need not compare whole images. */
export interface MetadataDelta {
  /** Names of topics that were created or changed and still exist. */
  readonly changedTopics: ReadonlySet<string>
  /** Topics that existed before and do not now, as they were. A name that was recreated is in both lists. */
  readonly removedTopics: readonly TopicImage[]
  /** Keys made by `configKey`, including those of removed topics. */
  readonly changedConfigs: ReadonlySet<string>
  /** Registered, changed or unregistered brokers. */
  readonly changedBrokers: ReadonlySet<number>
  readonly featuresChanged: boolean
  readonly quotasChanged: boolean
  readonly aclsChanged: boolean
  readonly scramChanged: boolean
}

/** An image without anything. */
export function emptyImage(clusterId: string): MetadataImage {
  return {
    clusterId,
    offset: 0,
    topics: PersistentMap.empty<string, TopicImage>(),
    topicsById: PersistentMap.empty<Uuid, TopicImage>(),
    brokers: PersistentMap.empty<number, BrokerImage>(),
    configs: PersistentMap.empty<string, ReadonlyMap<string, string>>(),
    features: PersistentMap.empty<string, number>(),
    nextProducerId: 0,
    controllers: PersistentMap.empty<number, ControllerImage>(),
    clientQuotas: PersistentMap.empty<string, QuotaImage>(),
    acls: PersistentMap.empty<Uuid, AclImage>(),
    scramCredentials: PersistentMap.empty<string, ScramImage>(),
  }
}

/** The image after one record. Prefer {@link applyRecords} for many: it copies each part once. */
export function applyRecord(image: MetadataImage, record: MetadataRecord): MetadataImage {
  return applyRecords(image, [record]).image
}

/**
 * The image after the records, and what they touched. Pure. A record that contradicts the image (an unknown topic, a broker
 * epoch that does not match) is a broken log and throws `AssertionError`: going on would make nodes differ.
 */
export function applyRecords(
  image: MetadataImage,
  records: Iterable<MetadataRecord>,
): { image: MetadataImage; delta: MetadataDelta } {
  const draft = new ImageDraft(image)
  for (const record of records) draft.apply(record)
  return draft.finish()
}

/** A topic whose partition list may still grow in place: it is not yet part of any image. */
interface TopicDraft {
  name: string
  id: Uuid
  partitions: TopicImage['partitions'][number][]
}

/** Collects the changes of a run of records, then makes the next image with each changed part copied once. */
class ImageDraft {
  readonly #image: MetadataImage
  #offset: number
  /** By id; null: removed. */
  readonly #topics = new Map<Uuid, TopicDraft | null>()
  /** Name to id of the topics that this run created or renamed away; null: removed. */
  readonly #topicIds = new Map<string, Uuid | null>()
  readonly #brokers = new Map<number, BrokerImage | undefined>()
  readonly #configs = new Map<string, Map<string, string> | undefined>()
  readonly #features = new Map<string, number | undefined>()
  readonly #controllers = new Map<number, ControllerImage>()
  readonly #access: AccessDraft
  #nextProducerId: number

  constructor(image: MetadataImage) {
    this.#image = image
    this.#offset = image.offset
    this.#access = new AccessDraft(image)
    this.#nextProducerId = image.nextProducerId
  }

  apply(record: MetadataRecord): void {
    this.#offset++
    switch (record.type) {
      case 'TopicRecord':
        this.#createTopic(record.name, record.topicId)
        break
      case 'PartitionRecord':
        this.#putPartition(record)
        break
      case 'PartitionChangeRecord':
        this.#changePartition(record)
        break
      case 'RemoveTopicRecord':
        this.#removeTopic(record.topicId)
        break
      case 'ClearElrRecord':
        this.#clearElr(record.topicName)
        break
      case 'ConfigRecord':
        this.#setConfig(record)
        break
      case 'RegisterBrokerRecord':
        this.#registerBroker(record)
        break
      case 'UnregisterBrokerRecord':
        this.#brokerWithEpoch(record.brokerId, record.brokerEpoch)
        this.#brokers.set(record.brokerId, undefined)
        break
      case 'BrokerRegistrationChangeRecord':
        this.#changeBroker(record)
        break
      case 'FenceBrokerRecord':
        this.#setFenced(record.id, record.epoch, true)
        break
      case 'UnfenceBrokerRecord':
        this.#setFenced(record.id, record.epoch, false)
        break
      case 'FeatureLevelRecord':
        this.#features.set(record.name, record.featureLevel === 0 ? undefined : record.featureLevel)
        break
      case 'ProducerIdsRecord':
        assert(record.nextProducerId > this.#nextProducerId, 'ProducerIdsRecord: the next producer id must grow')
        this.#nextProducerId = record.nextProducerId
        break
      case 'RegisterControllerRecord':
        this.#registerController(record)
        break
      case 'NoOpRecord':
        break
      default:
        this.#access.apply(record satisfies AccessRecord)
    }
  }

  finish(): { image: MetadataImage; delta: MetadataDelta } {
    const before = this.#image
    const topics = new Map<string, TopicImage | undefined>()
    const topicsById = new Map<Uuid, TopicImage | undefined>()
    const changedTopics = new Set<string>()
    const removedTopics: TopicImage[] = []
    for (const [id, topic] of this.#topics) {
      topicsById.set(id, topic ?? undefined)
      const previous = before.topicsById.get(id)
      if (topic === null && previous !== undefined) removedTopics.push(previous)
      if (topic !== null) {
        topics.set(topic.name, topic)
        changedTopics.add(topic.name)
      }
    }
    for (const [name, id] of this.#topicIds) if (id === null) topics.set(name, undefined)
    const image: MetadataImage = {
      clusterId: before.clusterId,
      offset: this.#offset,
      topics: changed(before.topics, topics),
      topicsById: changed(before.topicsById, topicsById),
      brokers: changed(before.brokers, this.#brokers),
      configs: changed(before.configs, this.#configs),
      features: changed(before.features, this.#features),
      nextProducerId: this.#nextProducerId,
      controllers: changed(before.controllers, this.#controllers),
      clientQuotas: changed(before.clientQuotas, this.#access.quotas),
      acls: changed(before.acls, this.#access.acls),
      scramCredentials: changed(before.scramCredentials, this.#access.scramCredentials),
    }
    const delta: MetadataDelta = {
      changedTopics,
      removedTopics,
      changedConfigs: new Set(this.#configs.keys()),
      changedBrokers: new Set(this.#brokers.keys()),
      featuresChanged: this.#features.size > 0,
      quotasChanged: this.#access.quotas.size > 0,
      aclsChanged: this.#access.acls.size > 0,
      scramChanged: this.#access.scramCredentials.size > 0,
    }
    return { image, delta }
  }

  #createTopic(name: string, id: Uuid): void {
    assert(this.#topicIdOf(name) === null, 'TopicRecord: a topic of this name exists')
    assert(this.#peekTopic(id) === null, 'TopicRecord: a topic with this id exists')
    this.#topics.set(id, { name, id, partitions: [] })
    this.#topicIds.set(name, id)
  }

  #putPartition(record: PartitionRecord): void {
    const topic = this.#topicToChange(record.topicId)
    assert(record.partitionId <= topic.partitions.length, 'PartitionRecord: partition numbers must be consecutive')
    topic.partitions[record.partitionId] = partitionOf(record)
  }

  #changePartition(record: PartitionChangeRecord): void {
    const topic = this.#topicToChange(record.topicId)
    const partition = topic.partitions[record.partitionId]
    assert(partition !== undefined, 'PartitionChangeRecord: no such partition')
    topic.partitions[record.partitionId] = mergePartition(partition, record)
  }

  #removeTopic(id: Uuid): void {
    const topic = this.#peekTopic(id)
    assert(topic !== null, 'RemoveTopicRecord: no topic with this id')
    this.#topics.set(id, null)
    this.#topicIds.set(topic.name, null)
    const key = configKey(ConfigResourceType.TOPIC, topic.name)
    if (this.#configs.get(key) !== undefined || this.#image.configs.has(key)) this.#configs.set(key, undefined)
  }

  #clearElr(topicName: string): void {
    if (topicName !== '') {
      const id = this.#topicIdOf(topicName)
      assert(id !== null, 'ClearElrRecord: no topic of this name')
      this.#clearElrOf(id)
      return
    }
    const ids = new Set([...this.#image.topicsById.keys(), ...this.#topics.keys()])
    for (const id of ids) if (this.#peekTopic(id) !== null) this.#clearElrOf(id)
  }

  #clearElrOf(id: Uuid): void {
    const partitions = this.#peekTopic(id)?.partitions ?? []
    for (const { partition: partitionId, elr, lastKnownElr } of partitions) {
      if (elr.length === 0 && lastKnownElr.length === 0) continue
      this.#changePartition({
        type: 'PartitionChangeRecord',
        topicId: id,
        partitionId,
        eligibleLeaderReplicas: [],
        lastKnownElr: [],
      })
    }
  }

  #setConfig(record: ConfigRecord): void {
    const key = configKey(record.resourceType, record.resourceName)
    let configs = this.#configs.get(key)
    if (configs === undefined) {
      // An undefined entry in the draft is a resource whose configuration this run removed.
      configs = new Map(this.#configs.has(key) ? [] : this.#image.configs.get(key))
    }
    if (record.value === null) configs.delete(record.name)
    else configs.set(record.name, record.value)
    this.#configs.set(key, configs.size === 0 ? undefined : configs)
  }

  #registerBroker(record: RegisterBrokerRecord): void {
    this.#brokers.set(record.brokerId, {
      id: record.brokerId,
      epoch: record.brokerEpoch,
      incarnationId: record.incarnationId,
      rack: record.rack,
      fenced: record.fenced,
      inControlledShutdown: record.inControlledShutdown,
      endpoints: record.endPoints,
      directories: record.logDirs,
      features: new Map(Object.entries(record.features)),
    })
  }

  #changeBroker(record: BrokerRegistrationChangeRecord): void {
    const broker = this.#brokerWithEpoch(record.brokerId, record.brokerEpoch)
    this.#brokers.set(record.brokerId, {
      ...broker,
      fenced: record.fenced ?? broker.fenced,
      inControlledShutdown: record.inControlledShutdown ?? broker.inControlledShutdown,
      directories: record.logDirs ?? broker.directories,
    })
  }

  #registerController(record: RegisterControllerRecord): void {
    this.#controllers.set(record.controllerId, {
      id: record.controllerId,
      incarnationId: record.incarnationId,
      endpoints: record.endPoints,
      features: new Map(Object.entries(record.features)),
    })
  }

  #setFenced(brokerId: number, epoch: number, fenced: boolean): void {
    this.#brokers.set(brokerId, { ...this.#brokerWithEpoch(brokerId, epoch), fenced })
  }

  #brokerWithEpoch(brokerId: number, epoch: number): BrokerImage {
    const broker = this.#brokers.has(brokerId) ? this.#brokers.get(brokerId) : this.#image.brokers.get(brokerId)
    assert(broker !== undefined, 'broker record: the broker is not registered')
    assert(broker.epoch === epoch, 'broker record: the broker epoch does not match')
    return broker
  }

  #topicIdOf(name: string): Uuid | null {
    const drafted = this.#topicIds.get(name)
    return drafted !== undefined ? drafted : (this.#image.topics.get(name)?.id ?? null)
  }

  #peekTopic(id: Uuid): TopicDraft | TopicImage | null {
    const drafted = this.#topics.get(id)
    return drafted !== undefined ? drafted : (this.#image.topicsById.get(id) ?? null)
  }

  #topicToChange(id: Uuid): TopicDraft {
    const drafted = this.#topics.get(id)
    if (drafted !== undefined && drafted !== null) return drafted
    const topic = drafted === null ? undefined : this.#image.topicsById.get(id)
    assert(topic !== undefined, 'partition record: no topic with this id')
    const draft = { name: topic.name, id, partitions: topic.partitions.slice() }
    this.#topics.set(id, draft)
    return draft
  }
}

function changed<K, V>(map: ReadonlyMap<K, V>, changes: ReadonlyMap<K, V | undefined>): ReadonlyMap<K, V> {
  if (changes.size === 0) return map
  const persistent = map instanceof PersistentMap ? (map as PersistentMap<K, V>) : persistentCopy(map)
  return persistent.withChanges(changes)
}

/** Images made by hand, in tests, may hold plain maps. */
function persistentCopy<K, V>(map: ReadonlyMap<K, V>): PersistentMap<K, V> {
  return PersistentMap.empty<K, V>().withChanges(map)
}
