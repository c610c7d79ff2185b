import {
  ErrorCode,
  errorInfo,
  type TxnOffsetCommitRequest,
  type TxnOffsetCommitResponse,
  txnOffsetCommitApi,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ClientAbilities, PartitionVerifier } from '../coordinator/transaction/partition-verifier.ts'
import { GROUP_METADATA_TOPIC } from '../metadata/internal-topics.ts'
import type { Partition } from '../partition/partition.ts'
import type { Verification } from '../partition/transaction-verifications.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

export interface TxnOffsetCommitDeps {
  readonly groups: Pick<GroupCoordinator, 'offsets'>
  readonly verifier: Pick<PartitionVerifier, 'verify'>
  find(topic: string, partition: number): Partition | null
  /** `transaction.partition.verification.enable` now. */
  isVerificationRequired(): boolean
}

const FIRST_ABORTABLE_VERSION = 4
const FIRST_ENLISTED_VERSION = 5

interface Verdict {
  readonly errorCode: number
  readonly verification: Verification | null
}

/**
 * TxnOffsetCommit 0–6: offsets of a group that count once the producer's transaction is committed. The partition that keeps them is
 * verified with the transaction's coordinator, or added to the transaction from version 5 on, as those of records are (KIP-890).
 */
export function txnOffsetCommitHandler(
  deps: TxnOffsetCommitDeps,
): ApiHandler<TxnOffsetCommitRequest, TxnOffsetCommitResponse> {
  return defineHandler(txnOffsetCommitApi, (request, context) => {
    const { apiVersion } = context
    const client: ClientAbilities = {
      isEnlisted: apiVersion >= FIRST_ENLISTED_VERSION,
      knowsAbortable: apiVersion >= FIRST_ABORTABLE_VERSION,
    }
    return deps.groups.offsets.commitTransactional(request, context, (partition) =>
      verifyOffsets(deps, request, partition, client),
    )
  })
}

async function verifyOffsets(
  deps: TxnOffsetCommitDeps,
  request: TxnOffsetCommitRequest,
  number: number,
  client: ClientAbilities,
): Promise<Verdict> {
  const hosted = deps.find(GROUP_METADATA_TOPIC, number)
  if (hosted === null || hosted.checkLeader(-1) !== ErrorCode.NONE) return refused(ErrorCode.NOT_COORDINATOR)
  const { transactionalId, producerEpoch } = request
  const producerId = Number(request.producerId)
  // Without an id, or a producer's, it would not be part of any transaction.
  if (transactionalId === '' || producerId < 0 || producerEpoch < 0) return refused(ErrorCode.INVALID_REQUEST)
  if (!client.isEnlisted && !deps.isVerificationRequired()) return { errorCode: ErrorCode.NONE, verification: null }
  const begun = hosted.verifications.begin(
    hosted.log,
    transactionalId,
    producerId,
    producerEpoch,
    -1,
    client.isEnlisted,
  )
  if (typeof begun === 'number') return refused(begun)
  if (begun === null) return { errorCode: ErrorCode.NONE, verification: null }
  const partitions = new Map([[GROUP_METADATA_TOPIC, [number]]])
  const verdicts = await deps.verifier.verify({ transactionalId, producerId, producerEpoch, partitions, client })
  const errorCode = verdicts(GROUP_METADATA_TOPIC, number)
  if (errorCode === ErrorCode.NONE) return { errorCode, verification: begun }
  if (!errorInfo(errorCode).retriable) hosted.verifications.onRefused(begun)
  return refused(groupErrorOf(errorCode))
}

function refused(errorCode: number): Verdict {
  return { errorCode, verification: null }
}

/** That the transaction's coordinator cannot be asked says nothing of the group's. */
function groupErrorOf(errorCode: number): number {
  switch (errorCode) {
    case ErrorCode.NOT_COORDINATOR:
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
    case ErrorCode.NETWORK_EXCEPTION:
      return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    default:
      return errorCode
  }
}
