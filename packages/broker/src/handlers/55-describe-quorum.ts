import { DirectoryId, type QuorumDescription } from '@millrace/consensus'
import {
  createDescribeQuorumResponse,
  createDescribeQuorumResponseListener,
  createDescribeQuorumResponseNode,
  createDescribeQuorumResponsePartitionData,
  createDescribeQuorumResponseReplicaState,
  createDescribeQuorumResponseTopicData,
  type DescribeQuorumRequest,
  type DescribeQuorumResponse,
  type DescribeQuorumResponsePartitionData,
  describeQuorumApi,
  ErrorCode,
  errorInfo,
} from '@millrace/protocol'
import { METADATA_TOPIC } from '../metadata/internal-topics.ts'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** Peers that the leader tells more of to nobody: a broker's own quorum is described as if it had this listener. */
const LISTENER = 'CONTROLLER'

/** DescribeQuorum 0–2: leader, voters and observers of the metadata quorum and how far each is (KIP-595, KIP-853; `controller.md`, 9). */
export function describeQuorumHandler(deps: {
  metadata: Pick<MetadataService, 'describeQuorum'>
  /** Name of the listener that controllers have for each other. */
  listener(): string | null
}): ApiHandler<DescribeQuorumRequest, DescribeQuorumResponse> {
  return defineHandler(describeQuorumApi, async (request) => {
    const quorum = await deps.metadata.describeQuorum()
    if ('code' in quorum) return createDescribeQuorumResponse({ errorCode: quorum.code, errorMessage: quorum.message })
    return createDescribeQuorumResponse({
      errorMessage: null,
      topics: request.topics.map(({ topicName, partitions }) =>
        createDescribeQuorumResponseTopicData({
          topicName,
          partitions: partitions.map(({ partitionIndex }) =>
            topicName === METADATA_TOPIC && partitionIndex === 0 ? described(quorum) : unknown(partitionIndex),
          ),
        }),
      ),
      nodes: quorum.voters
        .filter(({ host }) => host !== '')
        .map(({ id, host, port }) =>
          createDescribeQuorumResponseNode({
            nodeId: id,
            listeners: [createDescribeQuorumResponseListener({ name: deps.listener() ?? LISTENER, host, port })],
          }),
        ),
    })
  })
}

function described({ leaderId, leaderEpoch, highWatermark, peers }: QuorumDescription) {
  const replicas = (isVoter: boolean) =>
    peers
      .filter((peer) => peer.isVoter === isVoter)
      .map((peer) =>
        createDescribeQuorumResponseReplicaState({
          replicaId: peer.id,
          replicaDirectoryId: peer.directoryId ?? DirectoryId.MIGRATING,
          logEndOffset: peer.logEndOffset,
          lastFetchTimestamp: peer.lastFetchMs,
          lastCaughtUpTimestamp: peer.lastCaughtUpMs,
        }),
      )
  return createDescribeQuorumResponsePartitionData({
    partitionIndex: 0,
    errorMessage: null,
    leaderId,
    leaderEpoch,
    highWatermark,
    currentVoters: replicas(true),
    observers: replicas(false),
  })
}

function unknown(partitionIndex: number): DescribeQuorumResponsePartitionData {
  return createDescribeQuorumResponsePartitionData({
    partitionIndex,
    errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorMessage: errorInfo(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION).description,
    leaderId: -1,
    leaderEpoch: -1,
    highWatermark: -1,
  })
}
