import type { LeaderEpoch, Uuid } from '@millrace/base'
import type { LeaderRecoveryState } from '@millrace/consensus'

/** A member of a proposed ISR, with the broker epoch that its leader knows (-1: none), by which the controller tells a restarted one (R9). */
export interface IsrMember {
  readonly brokerId: number
  readonly brokerEpoch: number
}

/** A change of a partition's ISR that its leader asked for and that is not known to be committed or refused. */
export interface IsrProposal {
  readonly isr: readonly number[]
  readonly members: readonly IsrMember[]
  /** As they were: the controller compares and sets. */
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: number
  readonly leaderRecoveryState: LeaderRecoveryState
}

/** What became of a proposal: the partition as it is then. */
export interface CommittedIsr {
  readonly isr: readonly number[]
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: number
  readonly leaderRecoveryState: LeaderRecoveryState
}

/** A led partition, as far as the proposals for its ISR are concerned. */
export interface IsrOwner {
  readonly topicId: Uuid
  readonly partition: number
  /** Whether the proposal is still wanted: neither settled nor overtaken by the metadata. */
  isPending(proposal: IsrProposal): boolean
  onIsrCommitted(proposal: IsrProposal, committed: CommittedIsr): void
  /** It certainly was not done: back to the committed state. */
  onIsrRefused(proposal: IsrProposal): void
}
