import { join } from 'node:path'
import { BaseError, ConfigurationError, type Disk, type Random, randomUuid, type Uuid } from '@millrace/base'
import type { BrokerConfig, ClusterSettings } from '@millrace/broker'
import { isValidVoterSet, type VoterSet } from '@millrace/consensus'

/** The directory of the quorum's log is not as it must be. The message says what is wrong, where, and what to do. */
export class QuorumDirectoryError extends BaseError {
  constructor(message: string) {
    super('QUORUM_DIRECTORY', message)
  }
}

/** Where a node keeps its part of the quorum's log, and who it is there. */
export interface QuorumIdentity {
  readonly directory: string
  /** Of the database with the log. */
  readonly path: string
  readonly clusterId: string
  readonly directoryId: Uuid
  /** Nothing was ever written under this identity: a log that is missing may be made. */
  readonly isNew: boolean
  /** Who voted when the quorum began, with their directories, as this node learned it once (see `FirstVoters`); null: not yet. */
  readonly firstVoters: VoterSet | null
}

const DIRECTORY = 'quorum'
const IDENTITY_FILE = 'identity.properties'
const DATABASE_FILE = 'log.mdb'
const LOCK_FILE = '.lock'
const IDENTITY_VERSION = 1
/** 63 voters with the longest names fit. */
const MAX_IDENTITY_BYTES = 64 * 1024

/** Holds the directory so that no other process opens the log. Throws `DiskError` if one does. */
export function lockQuorumDirectory(disk: Disk, config: BrokerConfig): { release(): void } {
  const directory = quorumDirectory(config)
  disk.makeDirectory(directory)
  return disk.lock(join(directory, LOCK_FILE))
}

/**
 * Who this node is in the quorum, made up at its first start and durable from then on. The directory id is random, also a first voter's:
 * whoever lost all its disks is another replica to the rest of the quorum (KIP-853), though it cannot know that itself. Throws `ConfigurationError` where the settings do
 * not fit what is on disk, {@link QuorumDirectoryError} where something was lost, `DiskError`.
 */
export function quorumIdentity(
  disk: Disk,
  config: BrokerConfig,
  cluster: ClusterSettings,
  random: Random,
): QuorumIdentity {
  const directory = quorumDirectory(config)
  const path = join(directory, DATABASE_FILE)
  const known = readIdentity(disk, directory)
  if (known !== null) {
    checkKnown(known, config, directory)
    const { clusterId, directoryId, isUsed, firstVoters } = known
    return { directory, path, clusterId, directoryId, isNew: !isUsed, firstVoters }
  }
  refuseSingleNode(disk, config)
  if (cluster.isController) refuseLoss(disk, config, directory)
  const { clusterId } = config
  if (clusterId === null) {
    throw new ConfigurationError(
      'cluster.id',
      `cluster.id must be given at the first start of a node of a cluster, the same to all of its nodes; for example ${randomUuid(random)}`,
    )
  }
  const directoryId = randomUuid(random)
  writeIdentity(disk, directory, { clusterId, nodeId: config.nodeId, directoryId, isUsed: false, firstVoters: null })
  return { directory, path, clusterId, directoryId, isNew: true, firstVoters: null }
}

/** The log is there: from now on it must not be made anew under this identity. Durable. Throws `DiskError`. */
export function markIdentityUsed(disk: Disk, nodeId: number, identity: QuorumIdentity): void {
  const { directory, clusterId, directoryId, isNew, firstVoters } = identity
  if (isNew) writeIdentity(disk, directory, { clusterId, nodeId, directoryId, isUsed: true, firstVoters })
}

/** Keeps who the first voters are, of a node whose log is there. Durable. Throws `DiskError`. */
export function keepFirstVoters(disk: Disk, nodeId: number, identity: QuorumIdentity, firstVoters: VoterSet): void {
  const { directory, clusterId, directoryId } = identity
  writeIdentity(disk, directory, { clusterId, nodeId, directoryId, isUsed: true, firstVoters })
}

function quorumDirectory(config: BrokerConfig): string {
  return join(config.metadataLogDir ?? config.dataDirectories[0]!, DIRECTORY)
}

interface KnownIdentity {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: Uuid
  readonly isUsed: boolean
  readonly firstVoters: VoterSet | null
}

function checkKnown(known: KnownIdentity, config: BrokerConfig, directory: string): void {
  if (known.nodeId !== config.nodeId) {
    throw new ConfigurationError(
      'node.id',
      `${directory} belongs to node ${known.nodeId}, but node.id is ${config.nodeId}: give this node a directory of its own`,
    )
  }
  if (config.clusterId !== null && config.clusterId !== known.clusterId) {
    throw new ConfigurationError(
      'cluster.id',
      `${directory} belongs to cluster ${known.clusterId}, but cluster.id is ${config.clusterId}`,
    )
  }
}

/**
 * A controller that was in a cluster before has an identity. One that lost it must not make up another, or the same again: it has forgotten
 * how it voted. A broker never votes.
 */
function refuseLoss(disk: Disk, config: BrokerConfig, directory: string): void {
  const trace = [
    join(directory, DATABASE_FILE),
    ...config.dataDirectories.map((path) => join(path, 'meta.properties')),
  ].find((path) => disk.stat(path) !== null)
  if (trace === undefined) return
  throw new QuorumDirectoryError(
    `${join(directory, IDENTITY_FILE)} is missing, though this node was started before: there is ${trace}\n` +
      '  Restore it if you can. Else take the node out of the voters, give it empty directories and let it join as a new one.',
  )
}

/** Its topics are known to itself alone: in a cluster all of its logs would be strays. */
function refuseSingleNode(disk: Disk, config: BrokerConfig): void {
  const metadata = config.dataDirectories.map((path) => join(path, 'metadata')).find((path) => disk.stat(path) !== null)
  if (metadata === undefined) return
  throw new QuorumDirectoryError(
    `${metadata} holds the metadata of a single node, which cannot become a node of a cluster\n` +
      '  Give the node a directory of its own with log.dirs.',
  )
}

function readIdentity(disk: Disk, directory: string): KnownIdentity | null {
  const path = join(directory, IDENTITY_FILE)
  const stat = disk.stat(path)
  if (stat === null) return null
  const damaged = new QuorumDirectoryError(`${path} cannot be read: restore it, or let the node join as a new one`)
  if (stat.sizeBytes > MAX_IDENTITY_BYTES) throw damaged
  const values = new Map(
    disk
      .readFile(path)
      .toString('utf8')
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  const [version, clusterId, nodeId, directoryId, used, voters] = [
    'version',
    'cluster.id',
    'node.id',
    'directory.id',
    'used',
    'first.voters',
  ].map((key) => values.get(key) ?? '')
  const firstVoters = readVoters(voters!)
  const isSound =
    version === String(IDENTITY_VERSION) &&
    /^[\w-]{1,64}$/.test(clusterId!) &&
    /^\d{1,10}$/.test(nodeId!) &&
    /^[\w-]{22}$/.test(directoryId!) &&
    /^(true|false)$/.test(used!) &&
    firstVoters !== undefined
  if (!isSound) throw damaged
  return {
    clusterId: clusterId!,
    nodeId: Number(nodeId),
    directoryId: directoryId as Uuid,
    isUsed: used === 'true',
    firstVoters,
  }
}

/** Undefined: not what {@link writeIdentity} makes. */
function readVoters(text: string): VoterSet | null | undefined {
  if (text === 'unknown') return null
  try {
    const voters = JSON.parse(text) as VoterSet
    const isWhole =
      Array.isArray(voters) &&
      voters.length > 0 &&
      voters.every((voter) => typeof voter?.host === 'string' && typeof voter.directoryId === 'string')
    return isWhole && isValidVoterSet(voters) ? voters : undefined
  } catch {
    // No JSON at all: damaged like any other text.
    return undefined
  }
}

function writeIdentity(disk: Disk, directory: string, identity: KnownIdentity): void {
  const { clusterId, nodeId, directoryId, isUsed, firstVoters } = identity
  const lines = [
    `version=${IDENTITY_VERSION}`,
    `cluster.id=${clusterId}`,
    `node.id=${nodeId}`,
    `directory.id=${directoryId}`,
    `used=${isUsed}`,
    `first.voters=${firstVoters === null ? 'unknown' : JSON.stringify(firstVoters)}`,
  ]
  const contents = Buffer.from(`${lines.join('\n')}\n`)
  const path = join(directory, IDENTITY_FILE)
  const file = disk.openFile(`${path}.new`, { create: true })
  try {
    file.truncate(0)
    file.write(contents, 0, contents.length, 0)
    file.syncDataNow()
  } finally {
    file.close()
  }
  disk.rename(`${path}.new`, path)
  disk.syncDirectory(directory)
}
