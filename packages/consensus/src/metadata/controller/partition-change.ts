import type { Uuid } from '@millrace/base'
import {
  DirectoryId,
  isActiveBroker,
  isDirectoryOnline,
  type LeaderRecoveryState,
  type MetadataImage,
  type PartitionImage,
} from '../image.ts'
import type { PartitionChangeRecord } from '../records.ts'
import { newReplicaDirectory } from './placement.ts'

/** How a leader is chosen (`controller.md`, 3.1). */
export type Election = 'PREFERRED' | 'ONLINE' | 'UNCLEAN'

/** A wish for one partition. Absent targets stay as they are. */
export interface PartitionChange {
  readonly image: MetadataImage
  readonly topicId: Uuid
  readonly partition: PartitionImage
  /** Effective `min.insync.replicas`, at most the number of replicas. */
  readonly minIsr: number
  readonly election: Election
  readonly targetIsr?: readonly number[]
  readonly targetReplicas?: readonly number[]
  readonly targetAdding?: readonly number[]
  readonly targetRemoving?: readonly number[]
  /** Somebody has asked for this very election: it may give up what others hold that are not alive. */
  readonly isAskedFor?: boolean
  /** Bump the leader epoch although nothing changes: the leader may have lost records that were read. */
  readonly newLeaderEpoch?: boolean
  /** What the leader reports of its recovery from an unclean election. */
  readonly targetRecoveryState?: LeaderRecoveryState
  /** Where the present replicas lie, one directory each. */
  readonly targetDirectories?: readonly Uuid[]
  /** A replica that may have lost records: it has no claim to lead any more (KIP-966). */
  readonly excludedFromElr?: number
  /** It certainly lost all records, and others have a replica: it is not even the best guess. */
  readonly isExcludedWiped?: boolean
}

/** The eligible leader replicas (KIP-966) count only once the feature is finalized. */
export function isElrEnabled(image: MetadataImage): boolean {
  return (image.features.get('eligible.leader.replicas.version') ?? 0) >= 1
}

/**
 * The record that fulfils a wish, in Kafka's fixed order: complete a reassignment, work out the ELR, elect, note what differs.
 * Null if nothing changes.
 */
export function buildPartitionChange(change: PartitionChange): PartitionChangeRecord | null {
  const draft = new PartitionChangeDraft(change)
  return draft.build()
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

class PartitionChangeDraft {
  readonly #change: PartitionChange
  readonly #partition: PartitionImage
  readonly #elrEnabled: boolean
  readonly #record: Writable<PartitionChangeRecord>
  #isr: readonly number[]
  #replicas: readonly number[]
  #adding: readonly number[]
  #removing: readonly number[]
  #elr: readonly number[]
  /** Elected although its log is lost: another one takes its place. */
  #begunAnew: number | null = null

  constructor(change: PartitionChange) {
    const { partition } = change
    this.#change = change
    this.#partition = partition
    this.#elrEnabled = isElrEnabled(change.image)
    this.#record = { type: 'PartitionChangeRecord', topicId: change.topicId, partitionId: partition.partition }
    this.#isr = change.targetIsr ?? partition.isr
    this.#replicas = change.targetReplicas ?? partition.replicas
    this.#adding = change.targetAdding ?? partition.addingReplicas
    this.#removing = change.targetRemoving ?? partition.removingReplicas
    this.#elr = partition.elr
  }

  build(): PartitionChangeRecord | null {
    const record = this.#record
    const before = this.#partition
    this.#completeReassignment()
    this.#updateElr()
    this.#elect()
    this.#giveUpLostLogs()
    const replicaLeft = before.replicas.some((replica) => !this.#replicas.includes(replica))
    if (record.leader === undefined && (replicaLeft || this.#change.newLeaderEpoch === true))
      record.leader = before.leader
    // An unclean election has set the ISR already, and ends all claims of the former members.
    const unclean = record.isr !== undefined
    if (unclean || !this.#elrEnabled) this.#elr = []
    if (!equal(this.#elr, before.elr)) record.eligibleLeaderReplicas = this.#elr
    const mayBeEmpty = this.#isr.length > 0 || this.#elrEnabled
    if (!unclean && mayBeEmpty && !equal(this.#isr, before.isr)) record.isr = this.#isr
    this.#noteLastKnownLeader()
    this.#noteAssignment()
    this.#noteRecovery()
    return Object.keys(record).length > UNCHANGED_KEY_COUNT ? record : null
  }

  /** The move is over once the new replicas are in sync and enough remain without the old ones. */
  #completeReassignment(): void {
    if (this.#adding.length === 0 && this.#removing.length === 0) return
    const isr = this.#isr.filter((replica) => !this.#removing.includes(replica))
    const replicas = this.#replicas.filter((replica) => !this.#removing.includes(replica))
    if (isr.length === 0 || replicas.length === 0) return
    if (!this.#adding.every((replica) => isr.includes(replica))) return
    // A move to fewer replicas must not shrink the ISR on top: wait for all that remain.
    const shrinks = this.#adding.length < this.#removing.length
    if (shrinks && !replicas.every((replica) => isr.includes(replica))) return
    this.#isr = isr
    this.#replicas = replicas
    this.#adding = []
    this.#removing = []
  }

  #updateElr(): void {
    if (!this.#elrEnabled) return
    if (this.#isr.length >= this.#change.minIsr) {
      this.#elr = []
      return
    }
    const { excludedFromElr } = this.#change
    const candidates = new Set([...this.#elr, ...this.#partition.isr])
    const eligible = (replica: number) => replica !== excludedFromElr && !this.#isr.includes(replica)
    // Whoever holds no replica any more cannot come to lead either.
    this.#elr = [...candidates].filter((replica) => eligible(replica) && this.#replicas.includes(replica))
  }

  #elect(): void {
    const { node, unclean } = this.#choose()
    if (node === this.#partition.leader) return
    if (this.#elr.includes(node)) {
      this.#isr = [node]
      this.#elr = this.#elr.filter((replica) => replica !== node)
    }
    this.#record.leader = node
    if (!unclean) return
    this.#record.isr = [node]
    if (this.#partition.leaderRecoveryState !== 1) this.#record.leaderRecoveryState = 1
    if (this.#isLogLost(node)) this.#begunAnew = node
  }

  /**
   * A replica whose log is lost keeps its claim for as long as nobody leads: the log may be mended. Its broker begins another one as soon as
   * somebody does, so the claim must end with that very change.
   */
  #giveUpLostLogs(): void {
    if ((this.#record.leader ?? this.#partition.leader) === -1) return
    this.#elr = this.#elr.filter((replica) => !this.#isLogLost(replica))
  }

  #choose(): { node: number; unclean: boolean } {
    const { leader } = this.#partition
    const { election } = this.#change
    const preferred = this.#replicas[0]
    if (election === 'PREFERRED' && preferred !== undefined && this.#isValid(preferred)) {
      return { node: preferred, unclean: false }
    }
    if (this.#isValid(leader)) return { node: leader, unclean: false }
    const online = this.#replicas.find((replica) => this.#isValid(replica))
    if (online !== undefined) return { node: online, unclean: false }
    const lastKnown = this.#lastKnownLeader()
    if (lastKnown !== null) return { node: lastKnown, unclean: true }
    const any = election === 'UNCLEAN' ? this.#bestGuess() : undefined
    return any === undefined ? { node: -1, unclean: false } : { node: any, unclean: true }
  }

  /**
   * Of those that are alive, for an unclean election: who led last, then any that was not just about to get a replica. One that has nothing
   * only if all have nothing, or if that is asked for: no topic permits that all is lost since its other brokers start a little later.
   */
  #bestGuess(): number | undefined {
    const led = this.#partition.lastKnownElr.filter((replica) => this.#replicas.includes(replica))
    const settled = this.#replicas.filter((replica) => !this.#adding.includes(replica))
    const best = [...led, ...settled, ...this.#replicas].find((replica) => this.#isAcceptable(replica))
    if (best !== undefined) return best
    const mayBeginAnew = this.#change.isAskedFor === true || this.#replicas.every((replica) => this.#isLogLost(replica))
    if (!mayBeginAnew) return undefined
    return this.#replicas.find((replica) => isActiveBroker(this.#change.image, replica) && this.#isLogLost(replica))
  }

  /** With nobody left who must have every record, the last leader is the best guess and needs no permission. */
  #lastKnownLeader(): number | null {
    const { lastKnownElr } = this.#partition
    if (!this.#elrEnabled || this.#isr.length > 0 || this.#elr.length > 0 || lastKnownElr.length !== 1) return null
    const lastKnown = lastKnownElr[0]!
    // A move that was called off may have taken its replica away.
    return this.#replicas.includes(lastKnown) && this.#isAcceptable(lastKnown) ? lastKnown : null
  }

  #isValid(replica: number): boolean {
    const eligible = this.#isr.includes(replica) || (this.#isr.length === 0 && this.#elr.includes(replica))
    return eligible && this.#isAcceptable(replica)
  }

  #isAcceptable(replica: number): boolean {
    const { image } = this.#change
    return isActiveBroker(image, replica) && isDirectoryOnline(image.brokers.get(replica)!, this.#directoryOf(replica))
  }

  #directoryOf(replica: number): Uuid {
    const slot = this.#partition.replicas.indexOf(replica)
    if (slot === -1 || replica === this.#begunAnew) return newReplicaDirectory(this.#change.image, replica)
    return (this.#change.targetDirectories ?? this.#partition.directories)[slot]!
  }

  #isLogLost(replica: number): boolean {
    return this.#directoryOf(replica) === DirectoryId.LOST_LOG
  }

  #noteLastKnownLeader(): void {
    if (!this.#elrEnabled) return
    const record = this.#record
    const { lastKnownElr, leader } = this.#partition
    const { excludedFromElr, isExcludedWiped } = this.#change
    const isKnown = (replica: number) => isExcludedWiped !== true || replica !== excludedFromElr
    const next =
      record.leader !== undefined && record.leader >= 0
        ? []
        : record.leader === -1 && lastKnownElr.length === 0
          ? [leader].filter(isKnown)
          : lastKnownElr.filter(isKnown)
    if (!equal(next, lastKnownElr)) record.lastKnownElr = next
  }

  /** An election that was unclean just now outdoes what the former leader reports. */
  #noteRecovery(): void {
    const { targetRecoveryState } = this.#change
    if (targetRecoveryState === undefined || this.#record.leaderRecoveryState !== undefined) return
    if (targetRecoveryState !== this.#partition.leaderRecoveryState) {
      this.#record.leaderRecoveryState = targetRecoveryState
    }
  }

  #noteAssignment(): void {
    const record = this.#record
    const before = this.#partition
    const directories = this.#replicas.map((replica) => this.#directoryOf(replica))
    if (directories.length > 0 && !equal(directories, before.directories)) record.directories = directories
    if (this.#replicas.length > 0 && !equal(this.#replicas, before.replicas)) record.replicas = this.#replicas
    if (!equal(this.#removing, before.removingReplicas)) record.removingReplicas = this.#removing
    if (!equal(this.#adding, before.addingReplicas)) record.addingReplicas = this.#adding
  }
}

/** `type`, `topicId` and `partitionId` alone say nothing. */
const UNCHANGED_KEY_COUNT = 3

function equal<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, slot) => item === b[slot])
}
