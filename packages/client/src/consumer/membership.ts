import type { Committer } from '../offsets/committed-offsets.ts'
import type { RebalanceListener } from './partition-handover.ts'

/** A consumer's membership in its group, whatever the protocol: it runs in the background. */
export interface Membership {
  /** Whether the group counts on this member: one that does not poll has to leave. */
  readonly isMember: boolean
  /** Whether what it is in the group is about to change by itself: a commit that is refused now may be taken in a moment. */
  readonly isRejoining: boolean
  /** As whom offsets are committed now. */
  committer(): Committer
  /** As whom what `poll` handed out is held. */
  committerInUse(): Committer
  /** What the member wants changed, or the group seems to wait for it. */
  requestRejoin(reason: string): void
  /** Looks at fresh metadata. */
  onMetadata(): void
  /** Leaves, static members for good only if `evenIfStatic`. Rejects with errors that trying again cannot mend. */
  leave(reason: string, timeoutMs: number, evenIfStatic?: boolean): Promise<void>
  /** The application did not poll in time: leaves, and what it owned counts as lost. Never rejects. */
  expire(timeoutMs: number): Promise<void>
  close(): void
}

/** What a group's decisions mean for the partitions in use, done inside `poll`, between records. */
export interface GroupSteps {
  listener: RebalanceListener
  /** Does what is due. Rejects with what the listener throws, or what ended the membership for good. */
  step(): Promise<void>
  /** Gives up everything in order, before leaving. */
  giveUpAll(): Promise<void>
}
