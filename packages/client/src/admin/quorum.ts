import type { Uuid } from '@millrace/base'
import {
  addRaftVoterApi,
  createAddRaftVoterRequest,
  createAddRaftVoterRequestListener,
  createDescribeQuorumRequest,
  createDescribeQuorumRequestPartitionData,
  createDescribeQuorumRequestTopicData,
  createRemoveRaftVoterRequest,
  type DescribeQuorumResponse,
  type DescribeQuorumResponseReplicaState,
  describeQuorumApi,
  ErrorCode,
  removeRaftVoterApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { ProtocolError, throwIfError } from '../errors/protocol-error.ts'
import { type AdminCallOptions, askAnyBroker, askController, limitOf } from './outcome.ts'

/** A listener of a controller, as voters are reached by. */
export interface VoterListener {
  /** Name of the listener: one of `controller.listener.names`. */
  name: string
  host: string
  port: number
}

/** How far a node is that has a copy of the metadata log. */
export interface QuorumReplica {
  nodeId: number
  /** Of the directory with the metadata log (KIP-853); the zero id if the broker does not tell. */
  directoryId: Uuid
  logEndOffset: bigint
  /** Records that it lacks of the leader's log. */
  lag: bigint
  /** When the leader last heard of it, in wall-clock milliseconds; -1 if not known. */
  lastFetchMs: number
  /** When it last had all of the leader's log, in wall-clock milliseconds; -1 if not known. */
  lastCaughtUpMs: number
  /** Where it listens for controllers; empty if the broker does not tell. */
  listeners: VoterListener[]
}

/** The controllers' quorum (KIP-595, KIP-836). */
export interface QuorumDescription {
  /** Node id of the active controller, -1 if there is none. */
  leaderId: number
  leaderEpoch: number
  highWatermark: bigint
  /** By node id. */
  voters: QuorumReplica[]
  /** Nodes that follow without a vote, by node id: brokers, and controllers that may be made voters. */
  observers: QuorumReplica[]
}

const METADATA_TOPIC = '__cluster_metadata'

/** State of the metadata quorum, as its leader sees it. */
export async function describeQuorum(core: ClientCore, options: AdminCallOptions): Promise<QuorumDescription> {
  const message = createDescribeQuorumRequest({
    topics: [
      createDescribeQuorumRequestTopicData({
        topicName: METADATA_TOPIC,
        partitions: [createDescribeQuorumRequestPartitionData({ partitionIndex: 0 })],
      }),
    ],
  })
  const { response } = await askAnyBroker(
    core,
    'describing the quorum',
    describeQuorumApi,
    message,
    limitOf(core, options),
    (answer) => answer.errorCode || (answer.topics[0]?.partitions[0]?.errorCode ?? ErrorCode.NONE),
  )
  const partition = response.topics[0]?.partitions[0]
  if (partition === undefined) {
    const message = 'the answer lacks the metadata partition'
    throw new ProtocolError(ErrorCode.UNKNOWN_SERVER_ERROR, { subject: 'describing the quorum', message })
  }
  const { leaderId, leaderEpoch, highWatermark, currentVoters, observers } = partition
  const all = [...currentVoters, ...observers]
  const leaderEnd = all.find(({ replicaId }) => replicaId === leaderId)?.logEndOffset ?? highWatermark
  const toReplica = (state: DescribeQuorumResponseReplicaState) => replicaOf(state, BigInt(leaderEnd), response)
  return {
    leaderId,
    leaderEpoch,
    highWatermark: BigInt(highWatermark),
    voters: currentVoters.map(toReplica).sort((a, b) => a.nodeId - b.nodeId),
    observers: observers.map(toReplica).sort((a, b) => a.nodeId - b.nodeId),
  }
}

function replicaOf(
  state: DescribeQuorumResponseReplicaState,
  leaderEnd: bigint,
  { nodes }: DescribeQuorumResponse,
): QuorumReplica {
  const { replicaId, replicaDirectoryId, lastFetchTimestamp, lastCaughtUpTimestamp } = state
  const logEndOffset = BigInt(state.logEndOffset)
  const listeners = nodes.find(({ nodeId }) => nodeId === replicaId)?.listeners ?? []
  return {
    nodeId: replicaId,
    directoryId: replicaDirectoryId,
    logEndOffset,
    // -1 for a node that was never heard of; a follower may be asked about a moment after the leader.
    lag: logEndOffset > leaderEnd ? 0n : leaderEnd - (logEndOffset < 0n ? 0n : logEndOffset),
    lastFetchMs: Number(lastFetchTimestamp),
    lastCaughtUpMs: Number(lastCaughtUpTimestamp),
    listeners: listeners.map(({ name, host, port }) => ({ name, host, port })),
  }
}

/** A node that is to vote: it must run already and follow the quorum. */
export interface NewVoter {
  nodeId: number
  directoryId: Uuid
  listeners: readonly VoterListener[]
}

/** Makes a controller a voter; resolves once that is committed (KIP-853). Rejects with what the leader answers. */
export async function addVoter(core: ClientCore, voter: NewVoter, options: AdminCallOptions): Promise<void> {
  const timeoutMs = limitOf(core, options)
  const message = createAddRaftVoterRequest({
    clusterId: null,
    timeoutMs: Math.min(timeoutMs, core.options.requestTimeoutMs),
    voterId: voter.nodeId,
    voterDirectoryId: voter.directoryId,
    listeners: voter.listeners.map(({ name, host, port }) => createAddRaftVoterRequestListener({ name, host, port })),
  })
  const { errorCode, errorMessage } = await askController(
    core,
    `adding voter ${voter.nodeId}`,
    addRaftVoterApi,
    message,
    timeoutMs,
    (answer) => [answer.errorCode],
  )
  throwIfError(errorCode, { subject: `voter ${voter.nodeId}`, message: errorMessage })
}

/** Takes a node's vote away; resolves once that is committed (KIP-853). Rejects with what the leader answers. */
export async function removeVoter(
  core: ClientCore,
  voter: { nodeId: number; directoryId: Uuid },
  options: AdminCallOptions,
): Promise<void> {
  const message = createRemoveRaftVoterRequest({
    clusterId: null,
    voterId: voter.nodeId,
    voterDirectoryId: voter.directoryId,
  })
  const { errorCode, errorMessage } = await askController(
    core,
    `removing voter ${voter.nodeId}`,
    removeRaftVoterApi,
    message,
    limitOf(core, options),
    (answer) => [answer.errorCode],
  )
  throwIfError(errorCode, { subject: `voter ${voter.nodeId}`, message: errorMessage })
}
