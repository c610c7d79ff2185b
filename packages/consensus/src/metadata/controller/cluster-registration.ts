import type { Uuid } from '@millrace/base'
import {
  type BrokerImage,
  DirectoryId,
  type FeatureRange,
  isPlacementKnown,
  isReservedDirectory,
  type MetadataImage,
  type PartitionImage,
} from '../image.ts'
import type { MetadataRecord, RegisterBrokerRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { failDirectories, forEachPartition, without } from './broker-events.ts'
import { type BrokerRegistration, lostReplicasOf } from './broker-registration.ts'
import { afterRecords, type ControllerContext, type Outcome } from './context.ts'
import { METADATA_VERSION } from './features.ts'
import { isElrEnabled } from './partition-change.ts'
import { changeOf } from './partition-events.ts'

export interface ClusterRegistration extends BrokerRegistration {
  readonly clusterId: string
  /** Epoch that the broker had when it stopped cleanly, read from all its directories; -1: it did not. */
  readonly previousBrokerEpoch: number
}

/**
 * Registers a broker of a cluster (`controller.md`, 2.1). `hasLiveSession` tells that another incarnation of the id is at work now.
 * A new incarnation starts fenced, with an epoch that is the offset of its registration record, so it grows with each start; what the
 * former one was in sync with is cleaned up before that record. The same incarnation amends its registration, and names what it lost
 * besides, if that is too much for one request: it asks to be unfenced after the last one, and until then nothing elects it.
 */
export function registerInCluster(
  context: ControllerContext,
  registration: ClusterRegistration,
  hasLiveSession: boolean,
): Outcome<{ readonly brokerEpoch: number } | ApiError> {
  const { image } = context
  const previous = image.brokers.get(registration.brokerId)
  const isSameIncarnation = previous?.incarnationId === registration.incarnationId
  const error =
    clusterError(image, registration, hasLiveSession && previous !== undefined && !isSameIncarnation) ??
    directoryError(image, registration) ??
    featureError(image, registration)
  if (error !== null) return { records: [], response: error }
  if (previous !== undefined && isSameIncarnation) {
    return { records: amendmentRecords(context, registration, previous), response: { brokerEpoch: previous.epoch } }
  }
  const cleanUp = cleanUpRecords(context, registration, previous)
  const brokerEpoch = image.offset + cleanUp.length
  return {
    records: [...cleanUp, registrationRecord(registration, brokerEpoch, true, false)],
    response: { brokerEpoch },
  }
}

function amendmentRecords(
  context: ControllerContext,
  registration: ClusterRegistration,
  previous: BrokerImage,
): MetadataRecord[] {
  const { epoch, fenced, inControlledShutdown, directories } = previous
  const missing = directories.filter((directory) => !registration.directories.includes(directory))
  const failed = failDirectories(context, registration.brokerId, missing)
  const record = registrationRecord(registration, epoch, fenced, inControlledShutdown)
  // Of a broker that serves it is an old request: it may have begun anew what it had lost, and be the last to have it.
  if (!fenced || (registration.lostReplicas ?? []).length === 0) return [...failed, record]
  // The life before was judged with the first request.
  const lost = { ...registration, previousBrokerEpoch: epoch }
  return [...failed, ...cleanUpRecords(afterRecords(context, failed), lost, previous, lostReplicasOf(lost)), record]
}

function clusterError(image: MetadataImage, registration: ClusterRegistration, isDuplicate: boolean): ApiError | null {
  if (registration.clusterId !== image.clusterId) {
    const message = `Broker ${registration.brokerId} belongs to cluster ${registration.clusterId}, this is ${image.clusterId}`
    return apiError(MetadataErrorCode.INCONSISTENT_CLUSTER_ID, message)
  }
  if (!isDuplicate) return null
  const message = `Another broker is registered with the id ${registration.brokerId} and is alive`
  return apiError(MetadataErrorCode.DUPLICATE_BROKER_REGISTRATION, message)
}

function directoryError(image: MetadataImage, { brokerId, directories }: ClusterRegistration): ApiError | null {
  const refuse = (message: string) => apiError(MetadataErrorCode.INVALID_REGISTRATION, message)
  if (directories.length === 0) return refuse(`Broker ${brokerId} has no log directory`)
  if (new Set(directories).size < directories.length) {
    return refuse(`Broker ${brokerId} lists a log directory more than once`)
  }
  const reserved = directories.find(isReservedDirectory)
  if (reserved !== undefined) return refuse(`The directory id ${reserved} is reserved`)
  for (const other of image.brokers.values()) {
    const shared = other.id === brokerId ? undefined : directories.find((id) => other.directories.includes(id))
    if (shared !== undefined) return refuse(`The log directory ${shared} is registered by broker ${other.id}`)
  }
  return null
}

/** Each finalized level must lie in the broker's range; an absent level counts as 0. */
function featureError(image: MetadataImage, { brokerId, features }: ClusterRegistration): ApiError | null {
  const refuse = (name: string, level: number, range: FeatureRange | undefined) => {
    const supported = range === undefined ? 'nothing of it' : `${range.min}-${range.max}`
    const message = `The cluster has ${name} at level ${level}, but broker ${brokerId} supports ${supported}`
    return apiError(MetadataErrorCode.UNSUPPORTED_VERSION, message)
  }
  for (const [name, range] of features) {
    const level = image.features.get(name) ?? 0
    if (level < range.min || level > range.max) return refuse(name, level, range)
  }
  if (!features.has(METADATA_VERSION)) {
    const message = `Broker ${brokerId} does not say which levels of ${METADATA_VERSION} it supports`
    return apiError(MetadataErrorCode.INVALID_REGISTRATION, message)
  }
  for (const [name, level] of image.features) if (!features.has(name)) return refuse(name, level, undefined)
  return null
}

/**
 * What the former incarnation was in sync with. All that a replica acknowledged was on disk, so after a crash it stays eligible (ELR),
 * unless its records may be gone: the broker says so, it comes with a clean stop of another time (a disk that was set back), or the
 * directory that held the replica is not there any more. Then a new replica may lie elsewhere: in the only directory, or wherever the
 * broker puts it; but where an empty log would be all that counts, the replica stays in the directory that is missing: it may come back.
 *
 * A log that is lost out of its directory is noted as the replica's place, so that it is not elected. If nobody leads without it, it keeps what
 * claim it has (among the eligible ones, as the last known leader, or in sync where there are no eligible ones): once the log is mended, and
 * the broker started again, the broker tells where the log lies (KIP-858), and that makes it electable. A registration that names no
 * loss is no such proof: it may come from an empty disk in the place of the former one. Until then only the operator's word elects. The same
 * holds of a directory that is missing, with no other one in its place, where others have replicas and nobody leads: the disk may come back.
 * `isMeant`: of which partitions.
 */
function cleanUpRecords(
  context: ControllerContext,
  registration: ClusterRegistration,
  previous: BrokerImage | undefined,
  isMeant: (topicId: Uuid, partition: number) => boolean = () => true,
): MetadataRecord[] {
  const { brokerId, directories, previousBrokerEpoch, recoveredCleanly } = registration
  const isLostHere = lostReplicasOf(registration)
  const wasSetBack = previous !== undefined && previousBrokerEpoch !== -1 && previousBrokerEpoch !== previous.epoch
  const mayHaveLost = !recoveredCleanly || wasSetBack
  // A replica that was not yet assigned may lie in any directory, also in one that is missing.
  const isComplete = previous?.directories.every((directory) => directories.includes(directory)) === true
  const isThere = (directory: Uuid) => {
    // In whatever disk it was: nothing counts there that this one does not tell.
    if (directory === DirectoryId.LOST_LOG) return true
    return isPlacementKnown(directory) ? directories.includes(directory) : isComplete
  }
  const isNewDisk = directories.some((directory) => previous?.directories.includes(directory) !== true)
  const elsewhere = directories.length === 1 ? directories[0]! : DirectoryId.UNASSIGNED
  const hasElr = isElrEnabled(context.image)
  const mayBeginAnew = ({ replicas, isr }: PartitionImage) => {
    if (replicas.length === 1) return isNewDisk
    // Without eligible replicas the last member stays in sync, and would be elected as one that has everything.
    return hasElr || isr.some((replica) => replica !== brokerId)
  }
  const after = afterRecords(context, [registrationRecord(registration, context.image.offset, true, false)])
  const records: MetadataRecord[] = []
  forEachPartition(after, (topic, partition) => {
    if (!isMeant(topic.id, partition.partition)) return
    const { isr, elr, replicas } = partition
    const slot = replicas.indexOf(brokerId)
    if (slot === -1 && !isr.includes(brokerId) && !elr.includes(brokerId)) return
    const isWiped = slot === -1 || !isThere(partition.directories[slot]!)
    const isLost = slot !== -1 && isLostHere(topic.id, partition.partition)
    const changed = (wiped: boolean, directory: Uuid | null) =>
      changeOf(after, topic, partition, {
        targetIsr: without(isr, brokerId),
        ...(wiped || mayHaveLost ? { excludedFromElr: brokerId } : {}),
        ...(wiped && replicas.length > 1 ? { isExcludedWiped: true } : {}),
        ...(directory === null ? {} : { targetDirectories: partition.directories.with(slot, directory) }),
      })
    const isReplaced = isWiped && slot !== -1 && mayBeginAnew(partition)
    let change = changed(isWiped, isReplaced ? elsewhere : isLost && !isWiped ? DirectoryId.LOST_LOG : null)
    const mayComeBack = isReplaced && hasElr && replicas.length > 1 && !isNewDisk
    if (mayComeBack && (change?.leader ?? partition.leader) === -1) change = changed(false, DirectoryId.LOST_LOG)
    if (change !== null) records.push(change)
  })
  return records
}

function registrationRecord(
  registration: BrokerRegistration,
  brokerEpoch: number,
  fenced: boolean,
  inControlledShutdown: boolean,
): RegisterBrokerRecord {
  return {
    type: 'RegisterBrokerRecord',
    brokerId: registration.brokerId,
    incarnationId: registration.incarnationId,
    brokerEpoch,
    endPoints: registration.endpoints,
    features: Object.fromEntries(registration.features),
    rack: registration.rack,
    fenced,
    inControlledShutdown,
    logDirs: registration.directories,
  }
}
