import type {
  AclFilter,
  AlterReassignmentsRequest,
  AlterScramCredentialsRequest,
  ConfigAlterations,
  ConfigReplacement,
  CreatePartitionsRequest,
  CreateTopicsRequest,
  ElectLeadersRequest,
  FeatureUpdate,
  QuotaAlteration,
  TopicToDelete,
} from '@millrace/consensus'

/**
 * Requests with the fields that controllers take and nothing else. Handlers pass on what they decoded, which holds more; a controller
 * refuses what it does not know.
 */

export function plainCreateTopics({ topics, validateOnly }: CreateTopicsRequest): CreateTopicsRequest {
  return {
    validateOnly,
    topics: topics.map(({ name, numPartitions, replicationFactor, assignments, configs }) => ({
      name,
      numPartitions,
      replicationFactor,
      assignments: assignments.map(({ partitionIndex, brokerIds }) => ({ partitionIndex, brokerIds })),
      configs: configs.map((config) => ({ name: config.name, value: config.value })),
    })),
  }
}

export function plainDeletions(topics: readonly TopicToDelete[]): TopicToDelete[] {
  return topics.map(({ name, topicId }) => ({ name, topicId }))
}

export function plainCreatePartitions({ topics, validateOnly }: CreatePartitionsRequest): CreatePartitionsRequest {
  return {
    validateOnly,
    topics: topics.map(({ name, count, assignments }) => ({
      name,
      count,
      assignments: assignments === null ? null : assignments.map(({ brokerIds }) => ({ brokerIds })),
    })),
  }
}

export function plainAlterations(resources: readonly ConfigAlterations[]): ConfigAlterations[] {
  return resources.map(({ resourceType, resourceName, configs }) => ({
    resourceType,
    resourceName,
    configs: configs.map(({ name, configOperation, value }) => ({ name, configOperation, value })),
  }))
}

export function plainReplacements(resources: readonly ConfigReplacement[]): ConfigReplacement[] {
  return resources.map(({ resourceType, resourceName, configs }) => ({
    resourceType,
    resourceName,
    configs: configs.map(({ name, value }) => ({ name, value })),
  }))
}

export function plainQuotas(entries: readonly QuotaAlteration[]): QuotaAlteration[] {
  return entries.map(({ entity, ops }) => ({
    entity: entity.map(({ entityType, entityName }) => ({ entityType, entityName })),
    ops: ops.map(({ key, value, remove }) => ({ key, value, remove })),
  }))
}

export function plainScramCredentials(request: AlterScramCredentialsRequest): AlterScramCredentialsRequest {
  return {
    deletions: request.deletions.map(({ name, mechanism }) => ({ name, mechanism })),
    upsertions: request.upsertions.map(({ name, mechanism, iterations, salt, storedKey, serverKey }) => ({
      name,
      mechanism,
      iterations,
      salt,
      storedKey,
      serverKey,
    })),
  }
}

/** Rules to be made, or filters. */
export function plainAcls<Acl extends AclFilter>(acls: readonly Acl[]): Pick<Acl, keyof AclFilter>[] {
  return acls.map(({ resourceType, resourceName, patternType, principal, host, operation, permissionType }) => ({
    resourceType,
    resourceName,
    patternType,
    principal,
    host,
    operation,
    permissionType,
  }))
}

export function plainFeatureUpdates(updates: readonly FeatureUpdate[]): FeatureUpdate[] {
  return updates.map(({ feature, maxVersionLevel, upgradeType }) => ({ feature, maxVersionLevel, upgradeType }))
}

export function plainReassignments(request: AlterReassignmentsRequest): AlterReassignmentsRequest {
  return {
    allowReplicationFactorChange: request.allowReplicationFactorChange,
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, replicas }) => ({ partitionIndex, replicas })),
    })),
  }
}

export function plainElections({ electionType, topicPartitions }: ElectLeadersRequest): ElectLeadersRequest {
  if (topicPartitions === null) return { electionType, topicPartitions }
  return { electionType, topicPartitions: topicPartitions.map(({ topic, partitions }) => ({ topic, partitions })) }
}
