import {
  apis,
  createApiVersionsRequest,
  createDescribableLogDirTopic,
  createDescribeClusterRequest,
  createDescribeLogDirsRequest,
  createUnregisterBrokerRequest,
  describeClusterApi,
  describeLogDirsApi,
  unregisterBrokerApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import type { BrokerNode } from '../cluster/cluster-view.ts'
import { groupByTopic, type TopicPartition } from '../cluster/topic-partition.ts'
import { UnsupportedVersionError } from '../errors/client-errors.ts'
import { throwIfError } from '../errors/protocol-error.ts'
import { negotiationApi } from '../network/handshake.ts'
import { type AdminCallOptions, askAnyBroker, askController, errorOf, limitOf, type Outcome } from './outcome.ts'

/** A broker that is registered. */
export interface ClusterBroker extends BrokerNode {
  /** Registered, but taken for dead or not ready yet: it leads nothing. Told only where fenced brokers were asked for. */
  isFenced: boolean
}

export interface ClusterDescription {
  clusterId: string | null
  /** Node id, -1 if unknown. With KRaft any broker: {@link describeQuorum} tells the active controller. */
  controllerId: number
  brokers: ClusterBroker[]
}

/** From this version on fenced brokers are told (KIP-1073). */
const FENCED_FROM_VERSION = 2

/** One API of a broker, with the versions that it serves. */
export interface BrokerApi {
  key: number
  /** Kafka's name, or null if this version of the client does not know the API. */
  name: string | null
  minVersion: number
  maxVersion: number
}

export interface LogDirDescription {
  nodeId: number
  logDir: string
  /** -1n if the broker does not tell. */
  totalBytes: bigint
  usableBytes: bigint
  partitions: { topic: string; partition: number; sizeBytes: bigint; offsetLag: bigint; isFuture: boolean }[]
}

/** The cluster's id, controller and brokers: the fenced ones too if asked for, and if the broker can tell. */
export async function describeCluster(
  core: ClientCore,
  options: AdminCallOptions & { includeFenced?: boolean },
): Promise<ClusterDescription> {
  const includeFenced = options.includeFenced ?? false
  try {
    const { response } = await askAnyBroker(
      core,
      'describing the cluster',
      describeClusterApi,
      (version) =>
        createDescribeClusterRequest({
          endpointType: 1,
          includeFencedBrokers: includeFenced && version >= FENCED_FROM_VERSION,
        }),
      limitOf(core, options),
      ({ errorCode }) => errorCode,
    )
    const brokers = response.brokers.map(({ brokerId, host, port, rack, isFenced }) => {
      return { nodeId: brokerId, host, port, rack, isFenced }
    })
    const { clusterId, controllerId } = response
    return { clusterId, controllerId, brokers: brokers.sort((a, b) => a.nodeId - b.nodeId) }
  } catch (error) {
    if (!(error instanceof UnsupportedVersionError)) throw error
    // A broker without this API tells the same in its metadata.
    await core.retrying('describing the cluster', limitOf(core, options), () => core.metadata.update())
    const { clusterId, controllerId } = core.metadata.view
    const brokers = [...core.metadata.view.brokers.values()].map((broker) => ({ ...broker, isFenced: false }))
    return { clusterId, controllerId, brokers: brokers.sort((a, b) => a.nodeId - b.nodeId) }
  }
}

/** Forgets a broker that will not come back: it must be fenced, and comes back as a new one if it is started again. */
export async function unregisterBroker(core: ClientCore, nodeId: number, options: AdminCallOptions): Promise<void> {
  const { errorCode, errorMessage } = await askController(
    core,
    `forgetting broker ${nodeId}`,
    unregisterBrokerApi,
    createUnregisterBrokerRequest({ brokerId: nodeId }),
    limitOf(core, options),
    (answer) => [answer.errorCode],
  )
  throwIfError(errorCode, { subject: `broker ${nodeId}`, message: errorMessage })
}

/** What a broker serves; any broker if none is named. */
export async function apiVersions(
  core: ClientCore,
  options: AdminCallOptions & { nodeId?: number },
): Promise<BrokerApi[]> {
  const message = createApiVersionsRequest({ clientSoftwareName: 'millrace', clientSoftwareVersion: '0.1.0' })
  const { nodeId } = options
  const { response } = await core.retrying('asking for API versions', limitOf(core, options), async (leftMs) => {
    await core.ensureMetadata(leftMs)
    const limits = { timeoutMs: Math.min(leftMs, core.options.requestTimeoutMs) }
    return nodeId === undefined
      ? core.requestAny(negotiationApi, message, limits)
      : core.requestNode(nodeId, 'main', negotiationApi, message, limits)
  })
  return response.apiKeys
    .map(({ apiKey, minVersion, maxVersion }) => ({
      key: apiKey,
      name: apis[apiKey]?.name ?? null,
      minVersion,
      maxVersion,
    }))
    .sort((a, b) => a.key - b.key)
}

/** Log directories of brokers (all if none is named) and what lies in them, of some partitions, some topics or all. */
export async function describeLogDirs(
  core: ClientCore,
  options: AdminCallOptions & {
    nodeIds?: readonly number[]
    topics?: readonly string[]
    partitions?: readonly TopicPartition[]
  },
): Promise<Outcome<LogDirDescription>[]> {
  const timeoutMs = limitOf(core, options)
  await core.ensureMetadata(timeoutMs)
  const nodeIds = options.nodeIds ?? [...core.metadata.view.brokers.keys()].sort((a, b) => a - b)
  const wanted = options.topics === undefined ? null : new Set(options.topics)
  const asked = options.partitions === undefined ? null : [...groupByTopic(options.partitions)]
  const message = createDescribeLogDirsRequest({
    topics: asked?.map(([topic, partitions]) => createDescribableLogDirTopic({ topic, partitions })) ?? null,
  })
  const answers = await Promise.all(
    nodeIds.map((nodeId) =>
      core.retrying(`describing log directories of broker ${nodeId}`, timeoutMs, async (leftMs) => {
        const limits = { timeoutMs: Math.min(leftMs, core.options.requestTimeoutMs) }
        const { response } = await core.requestNode(nodeId, 'main', describeLogDirsApi, message, limits)
        return response.results.map((result) => ({ nodeId, ...result }))
      }),
    ),
  )
  return answers.flat().map(({ nodeId, logDir, errorCode, totalBytes, usableBytes, topics }) => ({
    nodeId,
    logDir,
    totalBytes: BigInt(totalBytes),
    usableBytes: BigInt(usableBytes),
    error: errorOf(errorCode, { subject: logDir }),
    partitions: topics
      .filter(({ name }) => wanted === null || wanted.has(name))
      .flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
          topic: name,
          partition: partitionIndex,
          sizeBytes: BigInt(partitionSize),
          offsetLag: BigInt(offsetLag),
          isFuture: isFutureKey,
        })),
      )
      .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1)),
  }))
}
