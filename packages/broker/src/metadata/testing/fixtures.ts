import { SeededRandom, type Uuid } from '@millrace/base'
import { type BrokerRegistration, DirectoryId, type NewTopic, SUPPORTED_FEATURES } from '@millrace/consensus'
import { createConfigRules } from '../../config/config-rules.ts'
import { Configuration } from '../../config/configuration.ts'
import type { Logger } from '../../logger.ts'
import { LocalMetadata, type LocalMetadataOptions } from '../local-metadata.ts'
import { CrashDisk } from './crash-disk.ts'

const ignore = () => undefined

export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

export function configurationOf(settings: Record<string, string> = {}): Configuration {
  return new Configuration(new Map(Object.entries(settings)), silentLogger)
}

/** Metadata of a new or, on a used disk, an older cluster. */
export function openMetadata(
  init: Partial<LocalMetadataOptions> & { configuration?: Configuration } = {},
): LocalMetadata {
  const { configuration = configurationOf(), ...options } = init
  const { broker } = configuration
  return LocalMetadata.open({
    disk: new CrashDisk(),
    random: new SeededRandom(1),
    logger: silentLogger,
    directory: 'data/metadata',
    clusterId: null,
    configRules: createConfigRules(configuration),
    settings: () => ({
      nodeId: configuration.nodeId,
      numPartitions: broker.numPartitions,
      defaultReplicationFactor: broker.defaultReplicationFactor,
      maxPartitions: broker.maxPartitions,
      deleteTopicEnable: broker.deleteTopicEnable,
      supportedFeatures: SUPPORTED_FEATURES,
    }),
    maxBytesBetweenSnapshots: 1_000_000,
    nextTurn: () => Promise.resolve(),
    onFatal: (error) => {
      throw error
    },
    ...options,
  })
}

export const thisBroker: BrokerRegistration = {
  brokerId: 1,
  incarnationId: DirectoryId.LOST,
  rack: null,
  endpoints: [{ listener: 'PLAINTEXT', host: 'localhost', port: 9092, securityProtocol: 'PLAINTEXT' }],
  features: SUPPORTED_FEATURES,
  directories: ['AAAAAAAAAAAAAAAAAAAAyA' as Uuid],
  recoveredCleanly: true,
}

/** A wish for a topic. */
export function newTopic(name: string, init: Partial<NewTopic> = {}): NewTopic {
  return { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...init }
}

/** Registered metadata with these topics. */
export async function metadataWith(...topics: readonly NewTopic[]): Promise<LocalMetadata> {
  const metadata = openMetadata()
  await metadata.registerBroker(thisBroker)
  await metadata.createTopics({ topics, validateOnly: false })
  return metadata
}
